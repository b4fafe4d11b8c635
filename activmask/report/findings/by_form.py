"""Methods that were run in several forms, the forms side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

from activmask.experiments.forms import OTHER, computed, form_title, forms, forms_of
from activmask.report.findings.experiment import Experiment
from activmask.runs.description import RunConfig, changed, defaults_of
from activmask.runs.identity import alike
from activmask.runs.names import method_name
from activmask.runs.selection import Epoch

COLUMNS: tuple[tuple[str, Epoch], ...] = (("valid", "last"), ("test", "best"))
"""The accuracies that are compared over forms, as the paper's tables print them."""


@dataclass(frozen=True, kw_only=True)
class InForms:
    """One experiment in two forms or more."""

    title: str
    """For people, for example `UNet Actdiff`."""
    by_name: dict[str, Experiment]
    """By what the form is called."""

    @property
    def any_form(self) -> Experiment:
        """One of them, for what they have in common."""
        return next(iter(self.by_name.values()))


def by_form(rows: Sequence[Experiment]) -> list[InForms]:
    """The experiments among some rows that were run in several forms; of a form's repeats the fullest.

    A run that is the same in two forms stands under both.
    """
    groups: list[list[Experiment]] = []
    for row in filter(lambda one: one.form, rows):
        for group in groups:
            if alike(_in_usual_form(group[0].run.config), _in_usual_form(row.run.config)):
                group.append(row)
                break
        else:
            groups.append([row])
    found = [InForms(title=_title(group[0]), by_name=_fullest(group)) for group in groups]
    return [one for one in found if len({id(row) for row in one.by_name.values()}) > 1]


def form_names(groups: Sequence[InForms]) -> list[str]:
    """What the forms are called, those that have a name first and in their order."""
    known = [form_title(name) for name in forms()]
    names = dict.fromkeys(name for group in groups for name in group.by_name)
    return sorted(names, key=lambda name: known.index(name) if name in known else len(known))


def _fullest(rows: Sequence[Experiment]) -> dict[str, Experiment]:
    kept: dict[str, Experiment] = {}
    for row in sorted(rows, key=lambda row: -len(row.run.seeds)):
        for form in forms_of(row.run.config):
            kept.setdefault(_name(form, row), row)
    return kept


def _name(form: str, row: Experiment) -> str:
    title = form_title(form)
    return f"{title}, {row.method.partition(', ')[2]}" if form == OTHER else title


def _title(row: Experiment) -> str:
    name = f"{row.model} {method_name(_in_usual_form(row.run.config))}"
    return f"{name} ({row.distinction})" if row.distinction else name


def _in_usual_form(config: RunConfig) -> RunConfig:
    defaults = defaults_of(config.network.model)
    usual = {name: defaults[name] for names in computed().values() for name in names}
    return changed(config, **usual)

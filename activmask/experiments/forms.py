"""The forms in which actdiff and gradmask are computed: as released, as written, and ours."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from activmask.models.settings import Network
from activmask.objectives import OBJECTIVES
from activmask.runs.description import RunConfig, defaults_of, flat

OTHER = "other"
"""What a run is in whose settings are those of no form."""


@cache
def forms() -> dict[str, dict[str, Any]]:
    """Every form by name, the one that made the paper's numbers first.

    Returns:
        Its `title`, and by objective its settings, as `forms.toml` explains.
    """
    return tomllib.loads((files("activmask.experiments") / "forms.toml").read_text(encoding="utf-8"))


@cache
def computed() -> dict[str, tuple[str, ...]]:
    """The settings on which it depends how each objective that forms speak of is computed."""
    return {
        one.name: tuple(known.name for known in one.declared().values() if known.form)
        for one in OBJECTIVES.values()
        if any(one.name in form for form in forms().values())
    }


def form_title(name: str) -> str:
    """What a form is called beside a score, for example `released form`."""
    return str(forms()[name]["title"]) if name in forms() else "another form"


def form_settings(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a form, for the objectives that are on.

    Args:
        name: of the form.
        given: settings of the run, which say its model and the weights of its objectives.
    """
    model = given.get("model", Network().model)
    found: dict[str, Any] = {}
    for objective in computed():
        settings = forms()[name].get(objective, {})
        if given.get(objective):
            found |= {key: value for key, value in settings.items() if key != "models"}
            found |= settings.get("models", {}).get(model, {})
    return found


def form_of(config: RunConfig) -> str:
    """The first form that computes what a run computes, or `OTHER`; empty without these objectives."""
    return next(iter(forms_of(config)), "")


def forms_of(config: RunConfig) -> tuple[str, ...]:
    """All forms that compute what a run computes, or `OTHER` alone; none without these objectives."""
    values = flat(config)
    watched = [name for objective, names in computed().items() if values[objective] for name in names]
    if not watched:
        return ()
    defaults = defaults_of(config.network.model)
    usual = {name: defaults[name] for name in watched}
    expected = {form: usual | form_settings(form, values) for form in forms()}
    found = [
        form
        for form, settings in expected.items()
        if all(values[name] == value for name, value in settings.items())
    ]
    return tuple(found) or (OTHER,)

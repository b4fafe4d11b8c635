"""The forms in which actdiff and gradmask are computed: as released, as written, and ours."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from activmask.config import FIELDS
from activmask.runs.description import RunConfig, flat
from activmask.runs.presets import default_of

COMPUTED = {
    "actdiff": ("actdiff_norm", "actdiff_at", "actdiff_layers", "actdiff_detach"),
    "gradmask": ("gradmask_norm", "gradmask_target"),
}
"""The settings on which it depends how an objective is computed."""

OTHER = "other"
"""What a run is in whose settings are those of no form."""


@cache
def forms() -> dict[str, dict[str, Any]]:
    """Every form by name, the one that made the paper's numbers first.

    Returns:
        Its `title`, and by objective its settings, as `forms.toml` explains.
    """
    return tomllib.loads((files("activmask.experiments") / "forms.toml").read_text(encoding="utf-8"))


def form_title(name: str) -> str:
    """What a form is called beside a score, for example `released form`."""
    return str(forms()[name]["title"]) if name in forms() else "another form"


def form_settings(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a form, for the objectives that are on.

    Args:
        name: of the form.
        given: settings of the run, which say its model and the weights of its objectives.
    """
    model = given.get("model", FIELDS["model"].default)
    found: dict[str, Any] = {}
    for objective in COMPUTED:
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
    watched = [name for objective, names in COMPUTED.items() if config[objective] for name in names]
    if not watched:
        return ()
    usual = {name: default_of(name, config.network.model) for name in watched}
    expected = {form: usual | form_settings(form, flat(config)) for form in forms()}
    found = [
        form
        for form, settings in expected.items()
        if all(config[name] == value for name, value in settings.items())
    ]
    return tuple(found) or (OTHER,)

"""The flags of a run, made from the settings of a run so that the two cannot drift apart."""

import inspect
from collections.abc import Callable
from itertools import pairwise
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from activmask.data.presets import CONVNET_WIDTH, PRESETS, RECON_WEIGHT
from activmask.ground.settings import Setting
from activmask.models.settings import MODEL_DEFAULTS
from activmask.runs.description import all_settings, panels

SHORT_CHOICES = {"preset": Literal["synthetic", "liver", "cardiac", "pancreas", "xray"]}


class BareFlags(TyperCommand):
    """A command some of whose options may stand without their value."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Give each bare flag its value, then parse as ever."""
        bare = {_flag(known): known.bare for known in all_settings().values() if known.bare}
        full = []
        for arg, following in pairwise([*args, "--"]):
            full += [arg, bare[arg]] if arg in bare and following.startswith("-") else [arg]
        return super().parse_args(ctx, full)


class WithRunOptions:
    """A command that takes settings as keywords, with one option for every setting that there is.

    An option that is not given arrives as None, so that presets and files can have their say. The
    options are made when they are asked for, since objectives may be added to their table until then.
    """

    def __init__(self, command: Callable[..., None]) -> None:
        self._command = command
        self.__name__, self.__doc__ = command.__name__, command.__doc__

    def __call__(self, **given: Any) -> None:
        """Run the command."""
        self._command(**given)

    @property
    def __signature__(self) -> inspect.Signature:
        """The command's own parameters, then the settings."""
        own = [p for p in inspect.signature(self._command).parameters.values() if p.kind is not p.VAR_KEYWORD]
        panel = panels()
        options = [_option(known, panel[known.name]) for known in all_settings().values()]
        return inspect.Signature([*own, *options])

    @property
    def __annotations__(self) -> dict[str, Any]:  # type: ignore[override]
        """Of the same parameters."""
        return {name: parameter.annotation for name, parameter in self.__signature__.parameters.items()}


def given_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Only the settings that the user gave."""
    return {name: value for name, value in settings.items() if value is not None}


def _option(known: Setting, panel: str) -> inspect.Parameter:
    flag = _flag(known)
    option = typer.Option(
        f"{flag}/--no-{flag[2:]}" if known.kind is bool else flag,
        help=known.help,
        rich_help_panel=panel,
        show_default=_default(known),
    )
    kind: Any = SHORT_CHOICES.get(known.name, known.kind)
    annotation = Annotated[kind | None, option]
    return inspect.Parameter(known.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _flag(known: Setting) -> str:
    return f"--{known.name.replace('_', '-')}"


def _default(known: Setting) -> str:
    if known.name == "width":
        return f"{CONVNET_WIDTH['synthetic']} for cnn, ae, unet ({CONVNET_WIDTH['liver']} medical), else 64"
    if known.name == "recon":
        return f"{RECON_WEIGHT['synthetic']:g} for ae, unet ({RECON_WEIGHT['liver']:g} medical), else 0"
    name, default = known.name, known.default
    by_value: dict[str, list[str]] = {}
    for preset, changes in PRESETS.items():
        if changes.get(name, default) != default:
            by_value.setdefault(f"{_shown(changes[name])} in", []).append(preset)
    for model, changes in MODEL_DEFAULTS.items():
        if name in changes:
            by_value.setdefault(f"{_shown(changes[name])} for", []).append(model)
    others = ", ".join(f"{value} {'/'.join(where)}" for value, where in by_value.items())
    return f"{_shown(default)}; {others}" if others else _shown(default)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)

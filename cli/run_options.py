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


BARE = {"--classify-masked": "train"}
"""What a flag that is given without a value means."""


class BareFlags(TyperCommand):
    """A command some of whose options may stand without their value."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Give each bare flag its value, then parse as ever."""
        full = []
        for arg, following in pairwise([*args, "--"]):
            full += [arg, BARE[arg]] if arg in BARE and following.startswith("-") else [arg]
        return super().parse_args(ctx, full)


def with_run_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give `command`, which takes the settings as keywords, one option for every field.

    An option that is not given arrives as None, so that presets and files can have their say.
    """
    own = [p for p in inspect.signature(command).parameters.values() if p.kind is not p.VAR_KEYWORD]
    options = [
        _option(known, panel) for known, panel in zip(all_settings().values(), panels().values(), strict=True)
    ]
    command.__signature__ = inspect.Signature([*own, *options])  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in [*own, *options]}
    return command


def given_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Only the settings that the user gave."""
    return {name: value for name, value in settings.items() if value is not None}


def _option(known: Setting, panel: str) -> inspect.Parameter:
    words = known.name.replace("_", "-")
    option = typer.Option(
        f"--{words}/--no-{words}" if known.kind is bool else f"--{words}",
        help=known.help,
        rich_help_panel=panel,
        show_default=_default(known),
    )
    kind: Any = SHORT_CHOICES.get(known.name, known.kind)
    annotation = Annotated[kind | None, option]
    return inspect.Parameter(known.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


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

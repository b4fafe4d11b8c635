"""The flags of a run, made from the settings of a run so that the two cannot drift apart."""

import inspect
from collections.abc import Callable
from copy import copy
from functools import partial
from itertools import pairwise
from typing import Annotated, Any, Literal, get_args

import typer
from typer.core import TyperCommand

from activmask.data.source import PresetValues
from activmask.data.sources.presets import presets
from activmask.ground.settings import Setting
from activmask.models import MODELS, with_decoder
from activmask.runs.description import all_settings, panels

from .completion import among
from .late import Late, plain_help
from .ranges import number


class BareFlags(TyperCommand):
    """A command some of whose options may stand without their value."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Give each bare flag its value, then parse as ever."""
        bare = {_flag(known): known.bare for known in all_settings().values() if known.bare}
        full = []
        for arg, following in pairwise([*args, "--"]):
            full += [arg, bare[arg]] if arg in bare and following.startswith("-") else [arg]
        return super().parse_args(ctx, full)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Without the opposites of switches, whose column leaves no room for texts in 80 columns."""
        told = copy(self)
        told.params = [copy(one) for one in self.params]
        for one in told.params:
            one.secondary_opts = []
        super(BareFlags, told).format_help(ctx, formatter)


def with_run_options(command: Callable[..., None]) -> Late:
    """Give `command`, which takes the settings as keywords, one option for every setting there is by then.

    An option that is not given arrives as None, so that presets and files can have their say. The
    options are made when they are asked for, since objectives may be added to their table until then.
    """

    def parameters(own: list[inspect.Parameter]) -> list[inspect.Parameter]:
        options = [
            _option(known, panel)
            for known, panel in zip(all_settings().values(), panels().values(), strict=True)
        ]
        return [*(one for one in own if one.kind is not one.VAR_KEYWORD), *options]

    return Late(command, parameters)


def given_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Only the settings that the user gave."""
    return {name: value for name, value in settings.items() if value is not None}


def _option(known: Setting, panel: str) -> inspect.Parameter:
    flag = _flag(known)
    make = partial(number, known.range) if known.kind in {int, float} else typer.Option
    option = make(
        f"{flag}/--no-{flag[2:]}" if known.kind is bool else flag,
        help=plain_help(_help(known)),
        rich_help_panel=panel,
        show_default=_default(known),
        autocompletion=among(lambda: MODELS) if known.name == "model" else None,
        # Spelled out they would take the place of flags and texts in a terminal of 80 columns.
        metavar="<word>" if _words(known) else "<num>" if known.kind is float else None,
    )
    kind: Any = Literal[tuple(known.choices())] if known.choices else known.kind
    annotation = Annotated[kind | None, option]
    return inspect.Parameter(known.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _help(known: Setting) -> str:
    return f"{known.help} One of: {', '.join(_words(known))}." if _words(known) else known.help


def _words(known: Setting) -> tuple[str, ...]:
    """What it may be, where that is a choice of words."""
    return tuple(known.choices()) if known.choices else tuple(map(str, get_args(known.kind)))


def _flag(known: Setting) -> str:
    return f"--{known.name.replace('_', '-')}"


def _default(known: Setting) -> str:
    if known.name == "width":
        names = [name for name, one in MODELS.items() if one.usual_width is None]
        widths = _by_preset(lambda preset: preset.convnet_width, names)
        own = {name: one.usual_width for name, one in MODELS.items()}
        fixed = [f"{width} for {name}" for name, width in own.items() if width not in {None, known.default}]
        return f"{', '.join([widths, *fixed])}, else {_shown(known.default)}"
    if known.name == "recon":
        return (
            f"{_by_preset(lambda preset: preset.recon_weight, with_decoder())}, else {_shown(known.default)}"
        )
    name, default = known.name, known.default
    by_value: dict[str, list[str]] = {}
    for preset, one in presets().items():
        if one.settings.get(name, default) != default:
            by_value.setdefault(f"{_shown(one.settings[name])} in", []).append(preset)
    for model, entry in MODELS.items():
        if name in entry.defaults:
            by_value.setdefault(f"{_shown(entry.defaults[name])} for", []).append(model)
    others = ", ".join(f"{value} {', '.join(where)}" for value, where in by_value.items())
    return f"{_shown(default)}; {others}" if others else _shown(default)


def _by_preset(value: Callable[[PresetValues], float], models: list[str]) -> str:
    """What models have if nobody says, for example `16 for cnn, ae, unet (64 in xray)`."""
    first, *others = ((name, f"{value(preset):g}") for name, preset in presets().items())
    by_value: dict[str, list[str]] = {}
    for preset, shown in others:
        if shown != first[1]:
            by_value.setdefault(shown, []).append(preset)
    told = "; ".join(f"{shown} in {', '.join(names)}" for shown, names in by_value.items())
    return f"{first[1]} for {', '.join(models)}{f' ({told})' if told else ''}"


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value) or "none"

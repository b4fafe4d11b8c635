"""What a run is called: its folder, and its data, network and method in tables and figures."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, get_origin

from activmask.data.settings import Source, View
from activmask.ground.settings import Setting, declared
from activmask.models import find_model
from activmask.models.settings import Network
from activmask.objectives import OBJECTIVES
from activmask.objectives.chosen import switched_on
from activmask.objectives.objective import Objective
from activmask.runs.description import RunConfig, all_settings, changed, default_of, usual_width


def run_name(config: RunConfig) -> str:
    """A readable folder name made of what sets the run apart, for example `synthetic-resnet18-actdiff10`."""
    model = config.network.model
    if config.network.width != usual_width(model, config.preset):
        model += f"w{config.network.width}"
    of_objectives = [known for one in OBJECTIVES.values() for known in one.declared().values()]
    # Weights come before forms, so that runs of earlier versions keep the names of their folders.
    ordered = [
        *declared(Network).values(),
        *sorted(of_objectives, key=lambda known: get_origin(known.kind) is not Literal),
        *declared(View).values(),
        *declared(Source).values(),
    ]
    first, rest = ordered[: len(declared(Network))], ordered[len(declared(Network)) :]
    parts = [*_named(config, first), *_weights(config), *_named(config, rest)]
    return "-".join([config.preset, model, *parts])


def _weights(config: RunConfig) -> Iterator[str]:
    for one, settings in switched_on(config.objectives):
        for name in one.switched_on(settings):
            value = getattr(settings, name)
            if one.declared()[name].method and isinstance(value, int | float) and value is not True:
                yield f"{name}{value:g}"


def _named(config: RunConfig, settings: Iterable[Setting]) -> Iterator[str]:
    for known in settings:
        if known.in_name and _is_unusual(config, known.name) and (part := known.in_name(config[known.name])):
            yield part


def _is_unusual(config: RunConfig, name: str) -> bool:
    return bool(config[name] != default_of(name, config.network.model))


def data_name(config: RunConfig) -> str:
    """The data set, by the last part of its folder, for example `Liver`."""
    name = Path(config.source.data).name
    return name if name != name.lower() else name.capitalize()


def model_name(config: RunConfig) -> str:
    """The network, for example `ResNet`."""
    return find_model(config.network.model).label or config.network.model


def method_name(config: RunConfig) -> str:
    """The objective, for example `Actdiff & Gradmask`, with what sets it apart from the usual form."""
    # Penalties come before controls, and flags last: tables of earlier versions call their methods so.
    chosen = sorted(switched_on(config.objectives), key=lambda pair: not _is_penalty(pair[0]))
    labels = [label for one, settings in chosen if (label := one.label(settings))]
    known = all_settings()
    of_objectives = [known[name] for one in OBJECTIVES.values() for name in one.declared()]
    ordered = [
        *sorted(of_objectives, key=lambda one: one.kind is bool),
        *declared(View).values(),
        *declared(Source).values(),
    ]
    details = [
        one.in_label(config[one.name]) for one in ordered if one.in_label and _is_unusual(config, one.name)
    ]
    return ", ".join([" & ".join(labels) or "Classify", *details])


def _is_penalty(one: Objective[Any]) -> bool:
    """Whether it adds a term to the loss that the baseline has not."""
    return one.term is not None and bool(one.declared()[one.name].method)


def names(config: RunConfig) -> tuple[str, str, str]:
    """Data set, model and method."""
    return data_name(config), model_name(config), method_name(config)


def method_settings() -> list[str]:
    """The names of the settings in which a method differs from its baseline."""
    return [known.name for known in all_settings().values() if known.method]


def baseline(config: RunConfig) -> RunConfig:
    """The same run without any method: classification alone."""
    return changed(config, **{name: default_of(name, config.network.model) for name in method_settings()})


def is_baseline(config: RunConfig) -> bool:
    """Whether a run is classification alone."""
    return baseline(config) == config

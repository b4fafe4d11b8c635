"""What a run is called: its folder, and its data, network and method in tables and figures."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_origin

from activmask.data.settings import Source, View
from activmask.ground.settings import Setting, declared
from activmask.models import find_model
from activmask.models.settings import Network
from activmask.objectives.chosen import settings_of_objectives, switched_on
from activmask.objectives.objective import Objective
from activmask.runs.description import RunConfig, all_settings, changed, defaults_of, flat, usual_width
from activmask.runs.robustness import Robustness


def run_name(config: RunConfig, images: str = "") -> str:
    """A readable folder name made of what sets the run apart, for example `synthetic-resnet18-actdiff10`.

    Args:
        config: the run's description.
        images: what it begins with; the preset where that is empty.
    """
    model = find_model(config.network.model).folder or config.network.model
    if config.network.width != usual_width(config.network.model, config.preset):
        model += f"w{config.network.width}"
    unusual = _unusual(config)
    of_objectives = sorted(settings_of_objectives(), key=lambda known: get_origin(known.kind) is not Literal)
    # Weights come before forms, so that runs of earlier versions keep the names of their folders.
    parts = [
        *_named(declared(Network).values(), unusual),
        *_weights(config),
        *_named([*of_objectives, *_of_parts(View, Source, Robustness)], unusual),
    ]
    return "-".join([images or config.preset, model, *parts])


def _weights(config: RunConfig) -> Iterator[str]:
    for one, settings in switched_on(config.objectives):
        for name in one.switched_on(settings):
            value = getattr(settings, name)
            if one.declared()[name].method and isinstance(value, int | float) and value is not True:
                yield f"{name}{value:g}"


def _named(settings: Iterable[Setting], unusual: Mapping[str, Any]) -> Iterator[str]:
    for known in settings:
        if known.in_name and known.name in unusual and (part := known.in_name(unusual[known.name])):
            yield part


def _of_parts(*parts: type) -> list[Setting]:
    return [known for part in parts for known in declared(part).values()]


def _unusual(config: RunConfig) -> dict[str, Any]:
    """The settings that depart from their defaults for the network, with their values."""
    defaults = defaults_of(config.network.model)
    return {name: value for name, value in flat(config).items() if value != defaults[name]}


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
    unusual = _unusual(config)
    ordered = [
        *sorted(settings_of_objectives(), key=lambda known: known.kind is bool),
        *_of_parts(Robustness, View, Source),
    ]
    details = [
        known.in_label(unusual[known.name]) for known in ordered if known.in_label and known.name in unusual
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
    defaults = defaults_of(config.network.model)
    return changed(config, **{name: defaults[name] for name in method_settings()})


def is_baseline(config: RunConfig) -> bool:
    """Whether a run is classification alone."""
    return baseline(config) == config

"""From chosen settings to a run's description: presets, defaults, and what is refused."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from activmask.data.settings import CROP_FLIP, IID, augmentations, parse_ratio, with_given_masks
from activmask.data.sources.presets import presets
from activmask.ground.errors import UsageError
from activmask.ground.listed import listed
from activmask.ground.nearest import nearest
from activmask.ground.settings import check_value
from activmask.models import find_model, with_decoder
from activmask.models.library_names import IMAGENET, is_of_library
from activmask.models.settings import Network
from activmask.objectives import OBJECTIVES
from activmask.objectives.chosen import (
    Chosen,
    needs,
    other_copy,
    shown_always,
    switched_on,
    that_need,
    with_paths,
)
from activmask.runs.description import (
    WORST_GROUP,
    RunConfig,
    all_settings,
    changed,
    compose,
    flat,
    usual_width,
)
from activmask.runs.inert import without_effect
from activmask.runs.optimisation import contradictions
from activmask.runs.robustness import group_contradictions


def make_config(**settings: Any) -> RunConfig:
    """Build a run's description from a preset and settings that win over it.

    Raises:
        UsageError: an unknown setting, a value of the wrong type, or settings that contradict
            each other or could not take effect.
    """
    check_values(settings)
    if settings.get("data", "").startswith("~"):
        # A shell does this where the folder is a word of its own, not in --data=~/x, nor in a file.
        with suppress(RuntimeError):  # Of a user that nobody knows.
            settings["data"] = str(Path(settings["data"]).expanduser())
    name = settings.get("preset", RunConfig.preset)
    _check_preset(name)
    preset = presets()[name]
    values = {**preset.settings, **settings}
    model = values.get("model", Network.model)
    if "width" not in settings:
        values["width"] = usual_width(model, name)
    if "recon" not in settings and find_model(model).decoder:
        values["recon"] = preset.recon_weight
    config = compose(values | _model_defaults(values, model))
    for reason in (*_contradictions(config), *without_effect(config)):
        raise UsageError(reason)
    return config


def _check_preset(preset: str) -> None:
    if preset not in presets():
        raise UsageError(f"there is no preset '{preset}'; {nearest(preset, presets())}")


def _model_defaults(values: Mapping[str, Any], model: str) -> dict[str, Any]:
    """The model's own defaults, where nothing else was chosen.

    Without its objective a setting cannot act, so that runs written when all models had one
    default are still the same runs.
    """
    known = all_settings()
    owner = {name: one.name for one in OBJECTIVES.values() for name in one.declared()}
    return {
        name: value
        for name, value in find_model(model).defaults.items()
        if name not in values or (values[name] == known[name].default and not values.get(owner[name]))
    }


def written_config(settings: dict[str, Any]) -> RunConfig:
    """The description of a run that was written down before, perhaps by an earlier version.

    What it does not mention had no other value then than the setting's default; no preset comes in,
    and a setting without effect, which earlier versions let pass, changed nothing.

    Raises:
        UsageError: an unknown setting or preset, or a value of the wrong type.
    """
    check_values(settings)
    config = compose(settings)
    _check_preset(config.preset)
    return changed(config, **_model_defaults(flat(config), config.network.model))


def check_values(settings: dict[str, Any]) -> None:
    """Check each setting by itself: its name, type, choices and range.

    Raises:
        UsageError: names the setting, what was expected and what was found.
    """
    known = all_settings()
    for name, value in settings.items():
        if name not in known:
            raise UsageError(f"there is no setting '{name}'; {nearest(name, known)}")
        check_value(known[name], value)


def _contradictions(config: RunConfig) -> Iterator[str]:
    """What is wrong with settings that cannot go together, a sentence each."""
    parse_ratio(config.source.split_ratio)
    augmentations(config.view)
    if config.network.weights == IMAGENET and not is_of_library(config.network.model):
        yield (
            f"weights imagenet are those of torchvision:NAME and timm:NAME, networks as their library builds "
            f"them, and {config.network.model} is none; give such a name, or a safetensors file"
        )
    if config.training.lr == 0:
        yield "lr is 0: nothing would be learned; give a positive learning rate"
    yield from _validation(config)
    yield from contradictions(config.optimisation, config.training.epochs)
    yield from group_contradictions(config.robustness, config.optimisation.class_balance)
    for one in OBJECTIVES.values():
        yield from one.refused(one.of(config.objectives))
    yield from _surroundings(config.objectives)
    second = [one.name for one, _ in switched_on(config.objectives) if one.discriminator]
    if len(second) > 1:
        yield f"{listed(second)} each train a discriminator of their own; choose one"
    asked = needs(config.objectives)
    if asked.decoder and not find_model(config.network.model).decoder:
        names = " and ".join(that_need(config.objectives, "decoder"))
        yield (
            f"{config.network.model} has no decoder, so it cannot reconstruct; use "
            f"{listed(with_decoder(), 'or')}, or set {names} to 0"
        )
    compare = that_need(config.objectives, "other_pass")
    if len(compare) > 1 and other_copy(config.objectives) is not None:
        yield f"{listed(compare)} look at one copy, so actdiff_copy noise would change it for all; choose one"
    if (alone := with_paths(config.objectives)) and config.training.batch_size == 1:
        yield (
            f"{listed(alone)} compares each image with others of its batch, so it does nothing with "
            "batch_size 1; choose a larger one"
        )
    yield from _compiled(config)
    yield from _controls(config)
    if config.view.augment == CROP_FLIP and config.view.image_size == 0:
        yield "augment crop-flip needs image_size, the side in px to crop to"


def _compiled(config: RunConfig) -> Iterator[str]:
    """What is wrong where the network's own code is replaced by a compiler's, or its normalisations are."""
    asked = needs(config.objectives)
    if asked.second_derivative and config.machine.compile:
        yield (
            f"compile cannot differentiate twice, which {_all_that_need('second_derivative')} need; leave "
            "compile off"
        )
    if asked.evidence and config.machine.compile:
        yield (
            f"compile hides the last feature map, with respect to which {_all_that_need('evidence')} "
            "differentiates the scores; leave compile off"
        )
    names = [name for name in ("compile", "sync_batchnorm") if flat(config)[name]]
    if asked.decomposed and names:
        yield (
            f"{_all_that_need('decomposed')} needs the network's own layers, which {listed(names)} "
            f"{'replaces' if len(names) == 1 else 'replace'}; leave it off"
        )


def _validation(config: RunConfig) -> Iterator[str]:
    """What is wrong with the validation splits that are asked for."""
    for name in ("valid_correlation", "test_correlation"):
        if -1 < config[name] < 0:
            yield f"{name} must be from 0 to 1, or -1 for 1 - correlation; it is {config[name]:g}"
    if config.training.select_on == IID and not config.source.valid_iid:
        yield f"select_on {IID} needs that split; give valid_iid, the share of training subjects to hold out"
    if config.training.select == WORST_GROUP and not config.robustness.groups:
        yield f"select {WORST_GROUP} needs groups: site, shortcut, or a column of the data set"


def _controls(config: RunConfig) -> Iterator[str]:
    """What is wrong where training looks at other masks than evaluation."""
    if with_given_masks(config.view) != config.view and shown_always(config.objectives):
        yield (
            "classify_masked all would cut the images of evaluation by masks that train_masks, mask_shift "
            "and mask_grow never change; choose classify_masked train"
        )


def _surroundings(chosen: Chosen) -> Iterator[str]:
    """What is wrong where training shows images without their surroundings."""
    hiding = [one.name for one, _ in switched_on(chosen) if one.hides_surroundings]
    if len(hiding) > 1:
        yield f"{listed(hiding)} both replace the training images; choose one"
    if hiding and needs(chosen).surroundings:
        hidden = [one.name for one in OBJECTIVES.values() if one.hides_surroundings]
        yield (
            f"{listed(hidden)} train on images without their surroundings, so "
            f"{_all_that_need('surroundings')}, which act on the surroundings, cannot go with them; "
            "choose one"
        )


def _all_that_need(what: str) -> str:
    """The names of all objectives that would need something, whether they are on or not."""
    return listed(
        [
            name
            for one in OBJECTIVES.values()
            for name, needed in one.switches.items()
            if getattr(needed, what)
        ]
    )

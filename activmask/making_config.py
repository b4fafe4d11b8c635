"""From chosen settings to a run's description: presets, defaults, and what is refused."""

import math
from dataclasses import replace
from typing import Any, Literal, get_args, get_origin

from activmask.config import FIELDS, ONLY_WITH, TYPES, masks_images
from activmask.data.settings import parse_ratio
from activmask.ground.errors import UsageError
from activmask.ground.nearest import nearest
from activmask.objectives.chosen import needs
from activmask.runs.description import RunConfig, changed, flat
from activmask.runs.inert import without_effect
from activmask.runs.presets import (
    AUTOENCODERS,
    CONVNET_WIDTH,
    CONVNETS,
    MODEL_DEFAULTS,
    PRESETS,
    RECON_WEIGHT,
)


def make_config(**settings: Any) -> RunConfig:
    """Build a run's description from a preset and settings that win over it.

    Raises:
        UsageError: an unknown setting, a value of the wrong type, or settings that contradict
            each other or could not take effect.
    """
    check_values(settings)
    preset = settings.get("preset", "synthetic")
    if preset not in PRESETS:
        raise UsageError(f"there is no preset '{preset}'; {nearest(preset, PRESETS)}")
    values = {**PRESETS[preset], **settings}
    model = values.get("model", "resnet18")
    if "width" not in settings:
        values["width"] = CONVNET_WIDTH[preset] if model in CONVNETS else 64
    if "recon" not in settings and model in AUTOENCODERS:
        values["recon"] = RECON_WEIGHT[preset]
    values |= _model_defaults(values, model)
    config = RunConfig(**values)
    _check_combination(config)
    return config


def _model_defaults(values: dict[str, Any], model: str) -> dict[str, Any]:
    """The model's own defaults, where nothing else was chosen.

    Without its objective a setting cannot act, so that runs written when all models had one
    default are still the same runs.
    """
    return {
        name: value
        for name, value in MODEL_DEFAULTS.get(model, {}).items()
        if name not in values or (values[name] == FIELDS[name].default and not values.get(ONLY_WITH[name]))
    }


def written_config(settings: dict[str, Any]) -> RunConfig:
    """The description of a run that was written down before, perhaps by an earlier version.

    What it does not mention had no other value then than the field's default; no preset comes in,
    and a setting without effect, which earlier versions let pass, changed nothing.

    Raises:
        UsageError: an unknown setting or preset, or a value of the wrong type.
    """
    check_values(settings)
    config = RunConfig(**settings)
    if config.preset not in PRESETS:
        raise UsageError(f"there is no preset '{config.preset}'; {nearest(config.preset, PRESETS)}")
    return changed(config, **_model_defaults(flat(config), config.network.model))


def check_values(settings: dict[str, Any]) -> None:
    """Check each setting by itself: its name, type, choices and range.

    Raises:
        UsageError: names the setting, what was expected and what was found.
    """
    for name, value in settings.items():
        _check_value(name, value)


def _check_value(name: str, value: Any) -> None:
    if name not in FIELDS:
        raise UsageError(f"there is no setting '{name}'; {nearest(name, FIELDS)}")
    kind = TYPES[name]
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            choices = ", ".join(get_args(kind))
            raise UsageError(f"{name} must be one of {choices}; found {value!r}")
        return
    allowed = (int, float) if kind is float else (kind,)
    if not isinstance(value, allowed) or (isinstance(value, bool) and kind is not bool):
        raise UsageError(f"{name} must be of type {kind.__name__}; found {value!r}")
    if isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"{name} must be finite; found {value!r}")
    least = FIELDS[name].metadata["min"]
    if least is not None and value < least:
        raise UsageError(f"{name} must be at least {least}; found {value!r}")


def _check_combination(config: RunConfig) -> None:
    parse_ratio(config.source.split_ratio)
    for wrong, reason in _contradictions(config):
        if wrong:
            raise UsageError(reason)
    for reason in without_effect(config):
        raise UsageError(reason)


def _contradictions(config: RunConfig) -> list[tuple[bool, str]]:
    penalties = config["actdiff"] or config["gradmask"] or config["rrr"] or config["adversarial"]
    return [
        (config.training.lr == 0, "lr is 0: nothing would be learned; give a positive learning rate"),
        (
            config["adversarial_lr"] == 0,
            "adversarial_lr is 0: the discriminator would not learn; give a positive learning rate",
        ),
        (config.view.masks > 1, f"masks is a share between 0 and 1; found {config.view.masks}"),
        (
            config.source.correlation > 1,
            f"correlation is a share between 0 and 1; found {config.source.correlation}",
        ),
        (
            masks_images(config) and config["classify_shuffled"],
            "classify_masked and classify_shuffled both replace the training images; choose one",
        ),
        (
            bool((masks_images(config) or config["classify_shuffled"]) and penalties),
            "classify_masked and classify_shuffled train on images without their surroundings, so "
            "actdiff, gradmask, rrr and adversarial, which act on the surroundings, cannot go with them",
        ),
        (
            config["recon"] > 0 and config.network.model not in AUTOENCODERS,
            f"{config.network.model} has no decoder, so it cannot reconstruct; use ae or unet, or set recon to 0",
        ),
        (
            config["recon_masked"] and config["recon"] == 0,
            "recon_masked needs a reconstruction: use the model ae or unet with recon above 0",
        ),
        (
            config["recon_masked"] and (masks_images(config) or config["classify_shuffled"]),
            "recon_masked reconstructs the shuffled copy from the full image, which classify_masked and "
            "classify_shuffled never show; choose one",
        ),
        (
            config.machine.compile and needs(config.objectives).second_derivative,
            "compile cannot differentiate twice, which gradmask and rrr need; leave compile off",
        ),
        (
            config.view.augment == "crop-flip" and config.view.image_size == 0,
            "augment crop-flip needs image_size, the side in px to crop to",
        ),
    ]

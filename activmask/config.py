"""One frozen dataclass describes a run; presets and files only produce it.

Every field carries its help text and its group in the dataclass metadata, so that the command
line, the TOML file and the documentation are made from this one table and cannot drift apart.
"""

import dataclasses
import difflib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from activmask.errors import UsageError

Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["fp32", "tf32", "bf16"]
ActdiffNorm = Literal["layer", "channel", "row"]
ActdiffAt = Literal["pre", "post"]
GradmaskNorm = Literal["l2", "l1"]
ClassifyMasked = Literal["off", "train", "all"]
GradmaskTarget = Literal["contrast", "positive"]
SplitPolicy = Literal["given", "subject", "site-correlated"]

CONVNETS = ("cnn", "ae", "unet")
AUTOENCODERS = ("ae", "unet")


def _setting(default: Any, group: str, text: str, *, least: float | None = None) -> Any:
    return dataclasses.field(default=default, metadata={"group": group, "help": text, "min": least})


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """The complete description of one experiment, for any number of seeds.

    The defaults are those of the `synthetic` preset for a ResNet-18; `make_config` applies
    presets and checks that the settings make sense together.
    """

    preset: str = _setting("synthetic", "Data", "The paper's settings for one of its data sets.")
    data: str = _setting(
        "data/synthetic",
        "Data",
        "Data set folder, or the word 'synthetic' to draw each seed's own benchmark in memory.",
    )
    split_policy: SplitPolicy = _setting(
        "given",
        "Data",
        "How images reach train, valid and test: the data set's own column, random by subject, "
        "or with the site-label correlation of the paper's X-ray experiment.",
    )
    split_seed: int = _setting(
        -1, "Data", "Seed of the split (and of drawn data); -1 follows the run's seed.", least=-1
    )
    split_ratio: str = _setting(
        "50/25/25", "Data", "Shares of subjects in train/valid/test, for the drawn splits."
    )
    train_images: int = _setting(
        0, "Data", "Class-balanced number of training images of a drawn split; 0 takes all.", least=0
    )
    valid_images: int = _setting(0, "Data", "The same for validation.", least=0)
    test_images: int = _setting(0, "Data", "The same for test.", least=0)
    correlation: float = _setting(
        0.9, "Data", "Share of site-label agreement in training (site-correlated splits).", least=0
    )
    duplicates: Literal["refuse", "allow"] = _setting(
        "refuse", "Data", "Equal pixels in two of train, valid and test: refuse them, or train all the same."
    )
    image_size: int = _setting(
        0, "Data", "Side in px that the network sees; stored images are cropped to it. 0 keeps them.", least=0
    )
    augment: Literal["none", "crop-flip"] = _setting(
        "none", "Data", "Random crops to the image size and flips in training, alike for image and mask."
    )
    mask: Literal["file", "circle"] = _setting(
        "file", "Data", "Masks from the data set, or a centred circle of radius side / 2.5."
    )
    mask_blur: float = _setting(
        0.5, "Data", "Sigma in px of the Gaussian that dilates masks (blur, then anything above 0).", least=0
    )
    masks: float = _setting(
        1.0, "Data", "Share of training images, per class, that keep their mask.", least=0
    )

    model: str = _setting("resnet18", "Model", "cnn, ae, unet, resnet18 or any torchvision classifier.")
    width: int = _setting(
        64, "Model", "Channels of the first layer (cnn, ae, unet and the ResNets of basic blocks).", least=1
    )

    actdiff: float = _setting(
        0.0, "Objective", "Weight of the activation difference penalty (paper Eq. 1).", least=0
    )
    actdiff_norm: ActdiffNorm = _setting(
        "row", "Objective", "Axes of its norm: whole layer (Eq. 1), channel (as published code ran), row."
    )
    actdiff_at: ActdiffAt = _setting("pre", "Objective", "Compare activations before or after the ReLU.")
    actdiff_layers: str = _setting("all", "Objective", "all, last, or comma-separated names of activations.")
    actdiff_detach: bool = _setting(False, "Objective", "Send no gradient through the shuffled pass.")
    gradmask: float = _setting(
        0.0, "Objective", "Weight of the input gradient outside the mask (paper Eq. 2).", least=0
    )
    gradmask_norm: GradmaskNorm = _setting(
        "l2", "Objective", "l2: norm per image, averaged (Eq. 2); l1: absolute values summed over the batch."
    )
    gradmask_target: GradmaskTarget = _setting(
        "contrast", "Objective", "Differentiate |y1 - y0| or the positive class's |y1|."
    )
    recon: float = _setting(
        0.0, "Objective", "Weight of the reconstruction (ae, unet: on by the preset's weight).", least=0
    )
    recon_loss: Literal["bce", "mse"] = _setting(
        "bce", "Objective", "Binary cross-entropy of a sigmoid output, or mean squared error."
    )
    recon_masked: bool = _setting(False, "Objective", "Reconstruct the shuffled copy from the full image.")
    rrr: float = _setting(
        0.0, "Objective", "Weight of 'right for the right reasons' (Ross et al. 2017).", least=0
    )
    adversarial: float = _setting(
        0.0, "Objective", "Weight of fooling a discriminator of full and shuffled features.", least=0
    )
    adversarial_steps: int = _setting(1, "Objective", "Discriminator steps per training step.", least=1)
    adversarial_lr: float = _setting(1e-3, "Objective", "Learning rate of the discriminator.", least=0)
    classify_masked: ClassifyMasked = _setting(
        "off",
        "Objective",
        "Control: images that are 0 outside the mask, in training only (train) or in validation and test "
        "too (all), the paper's upper bound.",
    )
    classify_shuffled: bool = _setting(
        False, "Objective", "Control: train on images whose outside pixels are shuffled."
    )
    cutout: int = _setting(
        0, "Objective", "Side in px of a random square set to 0 in training (DeVries & Taylor 2017).", least=0
    )

    epochs: int = _setting(500, "Training", "Passes over the training images.", least=1)
    batch_size: int = _setting(32, "Training", "Images per step.", least=1)
    lr: float = _setting(1e-4, "Training", "Adam's learning rate.", least=0)
    eval_train: bool = _setting(False, "Training", "Score the training images each epoch too.")

    device: Device = _setting("auto", "Machine", "Where to compute.")
    precision: Precision = _setting("fp32", "Machine", "Arithmetic of the network's passes.")
    threads: int = _setting(0, "Machine", "CPU threads; 0 leaves torch's choice.", least=0)
    sync_batchnorm: bool = _setting(
        False, "Machine", "Under torchrun, normalise batches by the images of all processes together."
    )
    compile: bool = _setting(
        False, "Machine", "Compile the network's passes; takes a minute first and gains nothing on a CPU."
    )


FIELDS: dict[str, dataclasses.Field[Any]] = {field.name: field for field in dataclasses.fields(RunConfig)}
TYPES: dict[str, Any] = get_type_hints(RunConfig)

_MSD: dict[str, Any] = {
    "split_policy": "subject",
    "split_ratio": "30/30/40",
    "train_images": 128,
    "valid_images": 256,
    "test_images": 256,
    "image_size": 100,
    "augment": "crop-flip",
    "recon_loss": "mse",
}

PRESETS: dict[str, dict[str, Any]] = {
    "synthetic": {},
    "liver": {**_MSD, "data": "data/liver", "mask_blur": 16.0, "lr": 1e-4},
    "cardiac": {**_MSD, "data": "data/cardiac", "mask_blur": 8.0, "lr": 4e-3},
    "pancreas": {**_MSD, "data": "data/pancreas", "mask_blur": 16.0, "lr": 1e-4},
    "xray": {
        "data": "data/xray",
        "split_policy": "site-correlated",
        "split_ratio": "50/25/25",
        "mask": "circle",
        "mask_blur": 0.0,
        "image_size": 128,
        "recon_loss": "mse",
        "lr": 1e-3,
        "epochs": 100,
    },
}
"""What each preset changes (paper secs. 4 to 6; learning rates as in the authors' configuration)."""

CONVNET_WIDTH = {"synthetic": 16, "liver": 64, "cardiac": 64, "pancreas": 64, "xray": 64}
RECON_WEIGHT = {"synthetic": 10.0, "liver": 1.0, "cardiac": 1.0, "pancreas": 1.0, "xray": 1.0}


def nearest(name: str, known: Iterable[str]) -> str:
    """A clause that lists the known names and suggests the closest, for error messages."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean '{close[0]}'? " if close else ""
    return f"{hint}Known: {', '.join(known)}"


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
    config = RunConfig(**values)
    _check_combination(config)
    return config


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
    for wrong, reason in _contradictions(config):
        if wrong:
            raise UsageError(reason)
    _check_inert(config)


def _contradictions(config: RunConfig) -> list[tuple[bool, str]]:
    penalties = config.actdiff or config.gradmask or config.rrr or config.adversarial
    return [
        (config.lr == 0, "lr is 0: nothing would be learned; give a positive learning rate"),
        (
            config.adversarial_lr == 0,
            "adversarial_lr is 0: the discriminator would not learn; give a positive learning rate",
        ),
        (config.masks > 1, f"masks is a share between 0 and 1; found {config.masks}"),
        (config.correlation > 1, f"correlation is a share between 0 and 1; found {config.correlation}"),
        (
            config.correlation != FIELDS["correlation"].default and config.split_policy != "site-correlated",
            "correlation has no effect: it belongs to the split policy site-correlated",
        ),
        (
            config.duplicates == "allow" and config.data == "synthetic",
            "duplicates has no effect: data drawn in memory share no picture between splits; leave it off",
        ),
        (
            masks_images(config) and config.classify_shuffled,
            "classify_masked and classify_shuffled both replace the training images; choose one",
        ),
        (
            bool((masks_images(config) or config.classify_shuffled) and penalties),
            "classify_masked and classify_shuffled train on images without their surroundings, so "
            "actdiff, gradmask, rrr and adversarial, which act on the surroundings, cannot go with them",
        ),
        (
            config.recon > 0 and config.model not in AUTOENCODERS,
            f"{config.model} has no decoder, so it cannot reconstruct; use ae or unet, or set recon to 0",
        ),
        (
            config.recon_masked and config.recon == 0,
            "recon_masked needs a reconstruction: use the model ae or unet with recon above 0",
        ),
        (
            config.recon_masked and (masks_images(config) or config.classify_shuffled),
            "recon_masked reconstructs the shuffled copy from the full image, which classify_masked and "
            "classify_shuffled never show; choose one",
        ),
        (
            config.compile and differentiates_twice(config),
            "compile cannot differentiate twice, which gradmask and rrr need; leave compile off",
        ),
        (
            config.augment == "crop-flip" and config.image_size == 0,
            "augment crop-flip needs image_size, the side in px to crop to",
        ),
    ]


_ONLY_WITH = {
    "actdiff_norm": "actdiff",
    "actdiff_at": "actdiff",
    "actdiff_detach": "actdiff",
    "actdiff_layers": "actdiff",
    "gradmask_norm": "gradmask",
    "gradmask_target": "gradmask",
    "adversarial_steps": "adversarial",
    "adversarial_lr": "adversarial",
}


def _check_inert(config: RunConfig) -> None:
    for name, needed in _ONLY_WITH.items():
        if getattr(config, name) != FIELDS[name].default and not getattr(config, needed):
            raise UsageError(f"{name} has no effect while {needed} is 0; give {needed} a weight")
    if config.masks < 1 and not uses_masks(config):
        raise UsageError("masks has no effect: no objective of this run looks at masks")


def differentiates_twice(config: RunConfig) -> bool:
    """Whether a penalty on an input gradient is part of the loss."""
    return config.gradmask > 0 or config.rrr > 0


def uses_masks(config: RunConfig) -> bool:
    """Whether training under this description looks at masks at all."""
    return uses_shuffled_copy(config) or differentiates_twice(config) or masks_images(config)


def masks_images(config: RunConfig) -> bool:
    """Whether training shows images that are 0 outside their masks."""
    return config.classify_masked != "off"


def uses_shuffled_copy(config: RunConfig) -> bool:
    """Whether a training step needs the copy whose pixels outside the mask are shuffled."""
    return bool(config.actdiff or config.adversarial or config.recon_masked or config.classify_shuffled)

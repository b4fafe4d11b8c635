"""One frozen dataclass describes a run; presets and files only produce it.

Every field carries its help text and its group in the dataclass metadata, so that the command
line, the TOML file and the documentation are made from this one table and cannot drift apart.
"""

import dataclasses
import difflib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_type_hints

from activmask.ground.errors import UsageError
from activmask.objectives.chosen import needs

Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["fp32", "tf32", "bf16"]
ActdiffNorm = Literal["layer", "channel", "row"]
ActdiffAt = Literal["pre", "post"]
GradmaskNorm = Literal["l2", "l1"]
ClassifyMasked = Literal["off", "train", "all"]
MaskedFill = Literal["black", "grey"]
EvaluateView = Literal["whole", "centre"]
AdversarialForm = Literal["ours", "followup"]
Head = Literal["pooled", "released"]
GradmaskTarget = Literal["contrast", "positive"]
SplitPolicy = Literal["given", "subject", "site-correlated"]
SelectBy = Literal["auc", "accuracy", "loss"]

IN_MEMORY = "synthetic"
"""The data name that draws the benchmark from the seed instead of reading a folder."""

POOLED = "pooled"
"""The word among the layers of actdiff for the features that a network pools last."""

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
        0, "Data", "Class-balanced number of training images to draw of the split; 0 takes all.", least=0
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
    evaluate_view: EvaluateView = _setting(
        "centre",
        "Data",
        "What evaluation sees of images larger than the image size: their middle, or the whole image resized "
        "(so does training without random crops).",
    )
    mask: Literal["file", "circle"] = _setting(
        "file", "Data", "Masks from the data set, or a centred circle of radius side / 2.5."
    )
    mask_blur: float = _setting(
        0.5,
        "Data",
        "Sigma of the Gaussian that dilates masks (blur, then anything above 0), in px of the original slice "
        "for data sets of prepare-msd, of the stored image for all others.",
        least=0,
    )
    masks: float = _setting(
        1.0, "Data", "Share of training images, per class, that keep their mask.", least=0
    )
    masks_without: Literal["whole", "borrowed"] = _setting(
        "whole",
        "Data",
        "Images without a mask stay whole, as in the paper, where the mask's mere presence can then tell the "
        "class; or each borrows the mask of a random image that has one, the honest control.",
    )

    model: str = _setting("resnet18", "Model", "cnn, ae, unet, resnet18 or any torchvision classifier.")
    width: int = _setting(
        64, "Model", "Channels of the first layer (cnn, ae, unet and the ResNets of basic blocks).", least=1
    )
    head: Head = _setting(
        "pooled",
        "Model",
        "Of ResNets: torchvision's, on the mean of all positions; or released, on means of 4 x 4 of them "
        "(4608 features at 100 px, 8192 at 128 px) with torch's own initial weights, as the authors' code.",
    )

    actdiff: float = _setting(
        0.0, "Objective", "Weight of the activation difference penalty (paper Eq. 1).", least=0
    )
    actdiff_norm: ActdiffNorm = _setting(
        "row", "Objective", "Axes of its norm: whole layer (Eq. 1), channel (as published code ran), row."
    )
    actdiff_at: ActdiffAt = _setting("pre", "Objective", "Compare activations before or after the ReLU.")
    actdiff_layers: str = _setting(
        "all",
        "Objective",
        "all, last, pooled (mean over positions after the last ReLU), or names with commas between.",
    )
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
    adversarial_form: AdversarialForm = _setting(
        "ours",
        "Objective",
        "Discriminator of two layers on the mean of the last pre-activation; or the authors' follow-up's, of "
        "three spectrally normalised layers of 1024 and one more on the pooled features, losses summed.",
    )
    adversarial_steps: int = _setting(
        1,
        "Objective",
        "Discriminator steps per step of the network: on one batch (ours), or on as many batches (followup).",
        least=1,
    )
    adversarial_lr: float = _setting(1e-3, "Objective", "Learning rate of the discriminator.", least=0)
    classify_masked: ClassifyMasked = _setting(
        "off",
        "Objective",
        "Control: images that are blank outside the mask, in training only (train) or in validation and test "
        "too (all), the paper's upper bound.",
    )
    masked_fill: MaskedFill = _setting(
        "black", "Objective", "What classify_masked puts outside the mask: black (0) or mid-grey (0.5)."
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
    select: SelectBy = _setting(
        "auc",
        "Training",
        "What makes an epoch the best: the highest valid AUC, the highest valid accuracy (as the paper's "
        "released code) or the lowest valid cross-entropy; of equal epochs the first.",
    )

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
    "evaluate_view": "whole",
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

MODEL_DEFAULTS: dict[str, dict[str, Any]] = {
    "cnn": {"actdiff_norm": "channel", "actdiff_at": "post"},
    "ae": {"actdiff_norm": "channel", "actdiff_at": "post"},
    "unet": {"actdiff_norm": "channel", "actdiff_at": "post"},
}
"""Settings whose default is another one for some models; each was chosen by training."""


def default_of(name: str, model: str) -> Any:
    """What a setting is for a model when neither the user nor a preset says."""
    return MODEL_DEFAULTS.get(model, {}).get(name, FIELDS[name].default)


def nearest(name: str, known: Iterable[str]) -> str:
    """A clause that lists the known names and suggests the closest, for error messages."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean '{close[0]}'? " if close else ""
    return f"{hint}Known: {', '.join(known)}"


def parse_ratio(text: str) -> tuple[float, float, float]:
    """The shares of train, valid and test in a text such as '50/25/25'; they sum to 1.

    Raises:
        UsageError: not three positive numbers that sum to 100.
    """
    try:
        train, valid, test = (float(part) for part in text.split("/"))
    except ValueError:
        train = valid = test = math.nan
    total = train + valid + test
    if not (min(train, valid, test) > 0 and abs(total - 100) <= 1e-6):
        raise UsageError(
            f"split_ratio must be three positive shares that sum to 100, such as 50/25/25; found '{text}'"
        )
    return train / total, valid / total, test / total


ONLY_WITH = {
    "actdiff_norm": "actdiff",
    "actdiff_at": "actdiff",
    "actdiff_detach": "actdiff",
    "actdiff_layers": "actdiff",
    "gradmask_norm": "gradmask",
    "gradmask_target": "gradmask",
    "adversarial_form": "adversarial",
    "adversarial_steps": "adversarial",
    "adversarial_lr": "adversarial",
}
"""Settings of an objective, and the weight without which they cannot act."""


def differentiates_twice(config: RunConfig) -> bool:
    """Whether a penalty on an input gradient is part of the loss."""
    return config["gradmask"] > 0 or config["rrr"] > 0


def draws_images(config: RunConfig) -> bool:
    """Whether chance decides which images train, validate and test a run."""
    counts = config.source.train_images or config.source.valid_images or config.source.test_images
    return config.source.data == IN_MEMORY or config.source.split_policy != "given" or counts > 0


def uses_masks(config: RunConfig) -> bool:
    """Whether training under this description looks at masks at all."""
    return (
        needs(config.objectives).shuffled
        or needs(config.objectives).second_derivative
        or masks_images(config)
    )


def masks_images(config: RunConfig) -> bool:
    """Whether training shows images that are blank outside their masks."""
    return config["classify_masked"] != "off"


def uses_shuffled_copy(config: RunConfig) -> bool:
    """Whether a training step needs the copy whose pixels outside the mask are shuffled."""
    return bool(
        config["actdiff"] or config["adversarial"] or config["recon_masked"] or config["classify_shuffled"]
    )

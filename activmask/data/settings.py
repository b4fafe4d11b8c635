"""The settings of a run's images: where they come from, and what the network sees of them."""

import math
from dataclasses import dataclass, replace
from typing import Literal

from activmask.data.files.limits import SIDES, SIGMAS
from activmask.ground.errors import UsageError
from activmask.ground.limits import LARGEST_SEED, MOST_COUNT
from activmask.ground.listed import listed
from activmask.ground.settings import setting

SplitPolicy = Literal["given", "subject", "site-correlated"]
EvaluateView = Literal["whole", "centre"]
TrainMasks = Literal["given", "random", "other"]

CROP_FLIP = "crop-flip"
AUGMENTATIONS = ("crop", "flips", "rotate", "intensity")
"""In the order in which they are made."""

IID: Literal["valid_iid"] = "valid_iid"
"""A second validation split, of the training distribution, where a run holds one out of training."""

IN_MEMORY = "synthetic"
"""The data name that draws the benchmark from the seed instead of reading a folder."""

ARRAYS = "(arrays)"
"""The data name of images that a caller held in memory, and that no later process has."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a run's images come from, and how train, valid and test share them."""

    data: str = setting(
        "data/synthetic",
        "Data set folder, or the word 'synthetic' to draw each seed's own benchmark in memory.",
    )
    split_policy: SplitPolicy = setting(
        "given",
        "How images reach train, valid and test: the data set's own column, random by subject, "
        "or with the site-label correlation of the paper's X-ray experiment.",
    )
    split_seed: int = setting(
        -1, "Seed of the split (and of drawn data); -1 follows the run's seed.", least=-1, most=LARGEST_SEED
    )
    split_ratio: str = setting("50/25/25", "Shares of subjects in train/valid/test, for the drawn splits.")
    train_images: int = setting(
        0,
        "Class-balanced number of training images to draw of the split; 0 takes all.",
        least=0,
        most=MOST_COUNT,
    )
    valid_images: int = setting(0, "The same for validation.", least=0, most=MOST_COUNT)
    test_images: int = setting(0, "The same for test.", least=0, most=MOST_COUNT)
    valid_iid: float = setting(
        0.0,
        "Share of the training subjects to hold out as a second validation split, which is of the training "
        "distribution whatever valid and test are; the best epoch by either is kept, see select_on.",
        least=0,
        most=0.9,
        in_name=lambda share: f"iid{share:g}",
        unsaid=True,
    )
    correlation: float = setting(
        0.9,
        "Share of site-label agreement in training (site-correlated splits).",
        least=0,
        most=1,
        in_name=lambda share: f"correlation{share:g}",
        in_label=lambda share: f"site correlation {share:g}",
    )
    valid_correlation: float = setting(
        -1.0,
        "The same in validation: 0 to 1; -1 is 1 - correlation, as in the paper, and that of training makes "
        "validation iid.",
        least=-1,
        most=1,
        in_name=lambda share: f"valid-correlation{share:g}",
        in_label=lambda share: f"site correlation {share:g} in validation",
        unsaid=True,
    )
    test_correlation: float = setting(
        -1.0,
        "The same in test.",
        least=-1,
        most=1,
        in_name=lambda share: f"test-correlation{share:g}",
        in_label=lambda share: f"site correlation {share:g} in test",
        unsaid=True,
    )
    duplicates: Literal["refuse", "allow"] = setting(
        "refuse", "Equal pixels in two of train, valid and test: refuse them, or train all the same."
    )


@dataclass(frozen=True, kw_only=True)
class View:
    """What the network sees of an image and of its mask."""

    image_size: int = setting(
        0,
        "Side in px that the network sees; stored images are cropped to it. 0 keeps them.",
        least=0,
        most=SIDES.most,
    )
    augment: str = setting(
        "none",
        "Changes by chance in training, alike for image and mask: none; crop-flip, random crops to the image "
        "size and flips; or any of flips, rotate (by up to 10 degrees), crop (to 70-100 % of the area, "
        "resized) and intensity (brightness and contrast by up to 20 %), with commas between.",
    )
    evaluate_view: EvaluateView = setting(
        "centre",
        "What evaluation sees of images larger than the image size: their middle, or the whole image resized "
        "(so does training without random crops).",
    )
    mask: Literal["file", "circle"] = setting(
        "file", "Masks from the data set, or a centred circle of radius side / 2.5."
    )
    mask_blur: float = setting(
        0.5,
        "Sigma of the Gaussian that dilates masks (blur, then anything above 0), in px of the original slice "
        "for data sets of prepare-msd, of the stored image for all others.",
        least=SIGMAS.least,
        most=SIGMAS.most,
    )
    masks: float = setting(
        1.0,
        "Share of training images, per class, that keep their mask.",
        least=0,
        most=1,
        method=True,
        in_name=lambda share: f"masks{share:g}",
        in_label=lambda share: f"{share:.0%} of masks",
    )
    masks_without: Literal["whole", "borrowed"] = setting(
        "whole",
        "Images without a mask stay whole, as in the paper, where the mask's mere presence can then tell the "
        "class; or each borrows the mask of a random image that has one, the honest control.",
        method=True,
        in_name="{}-masks".format,
        in_label="{} masks".format,
    )
    train_masks: TrainMasks = setting(
        "given",
        "Masks that training looks at, evaluation never: those of the data; each rolled to a random place, "
        "its area the same to the pixel; or each the mask of another training image.",
        method=True,
        in_name=lambda which: f"train-masks-{which}",
        in_label=lambda which: "masks at random places" if which == "random" else "masks of other images",
        unsaid=True,
    )
    mask_shift: float = setting(
        0.0,
        "Moves each mask that training looks at by this part of the image's side in a random direction; what "
        "leaves the image comes in again at the opposite edge.",
        least=0,
        most=0.5,
        method=True,
        in_name=lambda part: f"shifted{part:g}",
        in_label=lambda part: f"masks shifted by {100 * part:g}%",
        unsaid=True,
    )
    mask_grow: float = setting(
        0.0,
        "Grows each mask that training looks at by this part of the image's side, beyond mask_blur; negative "
        "shrinks it.",
        least=-0.5,
        most=0.5,
        method=True,
        in_name=lambda part: f"{'grown' if part > 0 else 'shrunk'}{abs(part):g}",
        in_label=lambda part: f"masks {'grown' if part > 0 else 'shrunk'} by {100 * abs(part):g}%",
        unsaid=True,
    )


def with_given_masks(view: View) -> View:
    """The same view, but training looks at the masks that the data set gives."""
    return replace(view, train_masks=View.train_masks, mask_shift=View.mask_shift, mask_grow=View.mask_grow)


def augmentations(view: View) -> tuple[str, ...]:
    """The changes of `transforms.transformed` that training makes, in their order; none under `crop-flip`.

    Raises:
        UsageError: a word that is none, or one that is given twice.
    """
    if view.augment in {"none", CROP_FLIP}:
        return ()
    words = [word.strip() for word in view.augment.split(",")]
    if not set(words) <= set(AUGMENTATIONS) or len(set(words)) < len(words):
        raise UsageError(
            f"augment must be none, {CROP_FLIP}, or {listed(AUGMENTATIONS, 'or')}, commas between several",
            found=repr(view.augment),
        )
    return tuple(word for word in AUGMENTATIONS if word in words)


def takes_crops(view: View) -> bool:
    """Whether training cuts what it sees out of the stored images, by chance."""
    return view.augment == CROP_FLIP or "crop" in augmentations(view)


def draws_images(source: Source) -> bool:
    """Whether chance decides which images train, validate and test a run."""
    drawn = source.train_images or source.valid_images or source.test_images or source.valid_iid
    return source.data == IN_MEMORY or source.split_policy != "given" or drawn > 0


def correlations(source: Source) -> tuple[float, float, float]:
    """The share of site-label agreement in train, valid and test of a site-correlated split."""
    turned = 1 - source.correlation
    valid, test = (turned if one < 0 else one for one in (source.valid_correlation, source.test_correlation))
    return source.correlation, valid, test


def split_seed(source: Source, seed: int) -> int:
    """What draws the splits, and images in memory, of a run's seed."""
    return seed if source.split_seed < 0 else source.split_seed


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
            "split_ratio must be three positive shares that sum to 100, such as 50/25/25", found=f"'{text}'"
        )
    return train / total, valid / total, test / total

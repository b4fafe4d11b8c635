"""How training looks after the groups of images that it does worst on; all of it off in the paper's runs."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from activmask.ground.limits import MOST_WEIGHT
from activmask.ground.listed import listed
from activmask.ground.settings import setting

GroupBalance = Literal["none", "weights", "sampling"]

_MOST_SIZE = 1e6
"""Of the constant of GroupDRO's size term: times the largest step size it is a number of single precision."""

UPWEIGHT_ERRORS_OF, RETRAIN_HEAD = "upweight_errors_of", "retrain_head"

FIRST_RUNS = (UPWEIGHT_ERRORS_OF, RETRAIN_HEAD)
"""The settings that name a finished run to begin with."""


@dataclass(frozen=True, kw_only=True)
class Robustness:
    """Which groups images are in, and what training does about those that it does worst on."""

    groups: str = setting(
        "",
        "Group images by class and by this: site, shortcut (whether one was planted), or any column of the "
        "data set's table. The worst group's accuracy is then scored.",
        in_name=lambda column: f"by-{re.sub(r'[^A-Za-z0-9._-]+', '_', column)}",
        unsaid=True,
    )
    group_balance: GroupBalance = setting(
        "none",
        "Unequal groups: weigh each image's loss by one over the number of its group (weights), or draw "
        "every epoch's images, with repeats, from all groups alike (sampling).",
        method=True,
        in_name="group-{}".format,
        in_label=lambda how: "groups weighted" if how == "weights" else "groups drawn alike",
        unsaid=True,
    )
    group_dro: float = setting(
        0.0,
        "GroupDRO (Sagawa et al. 2020): step size by which the weights of groups grow with their losses, "
        "such as 0.01; 0 is off. Their Algorithm 1 draws groups alike, as group_balance sampling does.",
        least=0,
        most=MOST_WEIGHT,
        method=True,
        in_name="group-dro{:g}".format,
        in_label="GroupDRO {:g}".format,
        unsaid=True,
    )
    group_dro_size: float = setting(
        0.0,
        "GroupDRO's generalisation adjustment (Sagawa et al. 2020, Eq. 5): this over the root of a group's "
        "number of training images is added to its loss where weights grow; 0 is off.",
        least=0,
        most=_MOST_SIZE,
        method=True,
        in_name="dro-size{:g}".format,
        in_label="size term {:g}".format,
        unsaid=True,
    )
    upweight_errors_of: str = setting(
        "",
        "JTT (Liu et al. 2021): a finished run, mostly of few epochs; the training images that the same seed "
        "of it gets wrong after its last epoch count upweight times as much here. Needs no groups.",
        method=True,
        in_name=lambda _: "jtt",
        in_label=lambda _: "errors of a first run counted more (JTT)",
        unsaid=True,
    )
    upweight: float = setting(
        20.0,
        "How many times as much these count.",
        least=1,
        most=MOST_WEIGHT,
        method=True,
        in_name="x{:g}".format,
        in_label="{:g} times".format,
        unsaid=True,
    )
    retrain_head: str = setting(
        "",
        "DFR (Kirichenko et al. 2023): take the best networks of this finished run, seed by seed, and fit "
        "their last layers anew, to as many validation images of every group, in place of training.",
        method=True,
        in_name=lambda _: "dfr",
        in_label=lambda _: "last layer retrained (DFR)",
        unsaid=True,
    )


def uses_groups(one: Robustness) -> bool:
    """Whether training itself, not only its scores, depends on the groups."""
    return one.group_balance != "none" or one.group_dro > 0 or bool(one.retrain_head)


def weighs_images(one: Robustness) -> bool:
    """Whether some training images count more in the loss than others, by groups or as errors of a run."""
    return one.group_balance == "weights" or one.group_dro > 0 or bool(one.upweight_errors_of)


def group_contradictions(one: Robustness, class_balance: str) -> Iterator[str]:
    """What is wrong with settings that cannot go together, a sentence each."""
    asking = {
        "group_balance": one.group_balance != "none",
        "group_dro": one.group_dro > 0,
        "retrain_head": bool(one.retrain_head),
    }
    asked = [name for name, on in asking.items() if on]
    if asked and not one.groups:
        yield f"{asked[-1]} needs groups: site, shortcut, or a column of the data set"
    trains = [*asked[:-1], *(["upweight_errors_of"] if one.upweight_errors_of else [])]
    if one.retrain_head and trains:
        yield f"retrain_head fits a run that is finished, and {trains[0]} trains one; choose one"
    weighing = {
        "class_balance": class_balance != "none",
        "group_balance": one.group_balance == "weights"
        or (one.group_balance != "none" and not one.group_dro),
        "group_dro": one.group_dro > 0,
        "upweight_errors_of": bool(one.upweight_errors_of),
    }
    if len(both := [name for name, on in weighing.items() if on]) > 1:
        yield f"{listed(both)} each decide how much an image counts; choose one"

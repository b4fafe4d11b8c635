"""How weights learn beyond Adam at one rate: what practitioners expect, all of it off in the paper's runs."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from activmask.ground.limits import MOST_COUNT, MOST_RATE, MOST_WEIGHT
from activmask.ground.settings import setting

Optimizer = Literal["adam", "adamw"]
Schedule = Literal["constant", "cosine"]
ClassBalance = Literal["none", "weights", "sampling"]


@dataclass(frozen=True, kw_only=True)
class Optimisation:
    """Optimizer, learning rate over time, what counts of the classes, and when a seed ends."""

    optimizer: Optimizer = setting(
        "adam",
        "Adam, or AdamW, which shrinks weights too (Loshchilov & Hutter 2019).",
        unsaid=True,
    )
    weight_decay: float = setting(
        0.01,
        "What adamw takes off every weight in a step, as a share of it, times the learning rate.",
        least=0,
        most=MOST_RATE,
        unsaid=True,
    )
    schedule: Schedule = setting(
        "constant",
        "The learning rate after the warm-up: constant, or down to 0 by half a cosine over all epochs.",
        unsaid=True,
    )
    warmup: int = setting(
        0,
        "Epochs in which the learning rate rises evenly, step by step, to lr.",
        least=0,
        most=MOST_COUNT,
        unsaid=True,
    )
    clip: float = setting(
        0.0,
        "Longest gradient, over all weights together; longer ones are shortened to it. 0 keeps all.",
        least=0,
        most=MOST_WEIGHT,
        unsaid=True,
    )
    ema: float = setting(
        0.0,
        "Judge and keep not the weights but their running mean, of which this share stays in each step, such "
        "as 0.999. 0 keeps the weights.",
        least=0,
        most=0.999999,
        unsaid=True,
    )
    label_smoothing: float = setting(
        0.0,
        "Share of each label that is spread evenly over all classes.",
        least=0,
        most=0.99,
        unsaid=True,
    )
    class_balance: ClassBalance = setting(
        "none",
        "Unequal classes: weigh each image's loss by one over the number of its class (weights), or draw "
        "every epoch's images, with repeats, from all classes alike (sampling).",
        unsaid=True,
    )
    patience: int = setting(
        0,
        "End a seed after so many epochs in a row that were no better by select; 0 trains all epochs.",
        least=0,
        most=MOST_COUNT,
        unsaid=True,
    )


OFF = Optimisation()
"""Adam as in the paper."""


def changes_rate(one: Optimisation) -> bool:
    """Whether the learning rate changes over time."""
    return one.schedule != "constant" or one.warmup > 0


def spans_all_epochs(one: Optimisation) -> bool:
    """Whether what an epoch does depends on how many are asked for."""
    return one.schedule == "cosine"


def contradictions(one: Optimisation, epochs: int) -> Iterator[str]:
    """What is wrong with settings that cannot go together, a sentence each."""
    if one.optimizer == "adamw" and one.weight_decay == 0:
        yield "adamw with weight_decay 0 is adam; choose adam, or give weight_decay"
    if one.warmup >= epochs and one.warmup:
        yield (
            f"warmup of {one.warmup} epochs leaves none of the {epochs} at the full learning rate; give "
            "fewer, or more epochs"
        )

"""A form in Triton that is given up for good where Triton or the device refuses it."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import torch

Result = TypeVar("Result")


@dataclass
class Refusal:
    """Whether a form failed in this process: it is then asked no more."""

    form: str
    """What it is called in a sentence."""
    notes: logging.Logger
    """Where its failure is told, once."""
    happened: bool = False
    agreed: set[object] = field(default_factory=set)
    """Devices, or sizes and what is asked of them, of which its results were found equal to torch's."""


def unless_refused(ours: Callable[[], Result], plain: Callable[[], Result], refusal: Refusal) -> Result:
    """What our form computes, or torch's where ours has ever failed; full memory is no refusal."""
    if refusal.happened:
        return plain()
    try:
        return ours()
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever Triton or the device has against it
        refusal.happened = True
        refusal.notes.warning(
            "%s cannot be used here (%s: %s), so torch computes it, more slowly",
            refusal.form,
            type(error).__name__,
            " ".join(str(error).split())[:200],
        )
        return plain()


def once_agreed(
    ours: Callable[[], Result],
    plain: Callable[[], Result],
    refusal: Refusal,
    kind: object,
    compare: Callable[[], None],
    *,
    may_compare: bool,
) -> Result:
    """What our form computes once it was found to agree with torch's at a kind of call, until then torch's.

    Args:
        ours: our form.
        plain: torch's.
        refusal: knows of which kinds they agree.
        kind: all that agreement depends on.
        compare: raises `ArithmeticError` where they differ.
        may_compare: what a graph is to hold cannot be read, and so not be compared while one is captured.
    """
    if kind not in refusal.agreed and not may_compare:
        return plain()

    def checked() -> Result:
        if kind not in refusal.agreed:
            compare()
            refusal.agreed.add(kind)
        return ours()

    return unless_refused(checked, plain, refusal)

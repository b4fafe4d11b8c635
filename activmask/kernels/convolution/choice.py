"""Which form computes a convolution on CUDA: Triton's or the library's, whichever this device is quicker at.

A shape is tried once, when it first occurs outside the capture of a graph, and what came of it is
kept in the user's cache folder. The two forms round differently, so that two machines, or one before
and after its cache is removed, may differ in the last bits; with a cache they do not.
"""

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from activmask.ground.caches import cache_folder, read_cached, write_cached
from activmask.ground.errors import UsageError
from activmask.kernels.convolution.trial import Refused, Trial

NOTES = logging.getLogger(__name__)
"""Where is told, once, that Triton's form cannot be used."""

VARIABLE = "ACTIVMASK_CONVOLUTION"
"""Of the environment: `auto`, or the one form that is to be used, `triton` where it can be."""
FORMS = ("auto", "triton", "library")
FILE = "convolutions.json"
_VERSION = 4
"""Times of other kernels say nothing of these."""


@dataclass
class Choices:
    """What is known of one device."""

    machine: str
    """The device and the versions that its times depend on."""
    form: str
    """One of `FORMS`."""
    path: Path | None
    known: dict[str, bool] = field(default_factory=dict)
    """Whether Triton's form is the one, by shape."""
    told: bool = False

    def is_ours(self, shape: str, trial: Callable[[], Trial], *, may_try: bool) -> bool:
        """Whether Triton's form computes a shape.

        Args:
            shape: all that the time depends on.
            trial: tries both, and raises `Refused` where Triton's cannot be used.
            may_try: otherwise the library computes what is not known, and it stays unknown.
        """
        if self.form == "library":
            return False
        if shape not in self.known:
            if not may_try:
                return False
            self.known[shape] = self._tried(shape, trial)
        return self.known[shape]

    def _tried(self, shape: str, trial: Callable[[], Trial]) -> bool:
        try:
            came_to = trial()
        except Refused as refusal:
            if not self.told:
                NOTES.warning(
                    "Triton's convolution cannot be used here (%s), so cuDNN computes it, which changes the "
                    "speed alone",
                    refusal,
                )
            self.told = True
            return False
        self._remember(shape, came_to)
        return self.form == "triton" or came_to.ours < came_to.theirs

    def _remember(self, shape: str, trial: Trial) -> None:
        """Add a shape to the file, beside what other processes have written since it was read."""
        stored = read_cached(self.path)
        kept = {name: _sound(times) for name, times in stored.items()} if _is_current(stored) else {}
        times = kept.setdefault(self.machine, {})
        times[shape] = {"triton": round(trial.ours, 2), "library": round(trial.theirs, 2)}
        write_cached(self.path, {"version": _VERSION, **{name: kept[name] for name in kept if kept[name]}})


def new_choices(machine: str, environment: Mapping[str, str] = os.environ) -> Choices:
    """The choices of one machine, with those in the user's cache folder.

    Raises:
        UsageError: the environment names a form that there is not.
    """
    form = environment.get(VARIABLE, "auto")
    if form not in FORMS:
        raise UsageError(f"{VARIABLE} must be one of {', '.join(FORMS)}", found=form)
    folder = cache_folder(environment)
    path = None if folder is None else folder / FILE
    stored = read_cached(path)
    times = _sound(stored.get(machine)) if _is_current(stored) and form == "auto" else {}
    known = {shape: each["triton"] < each["library"] for shape, each in times.items()}
    return Choices(machine, form, path, known)


def _is_current(stored: dict[str, Any]) -> bool:
    return stored.get("version") == _VERSION


def _sound(times: Any) -> dict[str, dict[str, float]]:
    """Of what a file says of a machine, what makes sense."""
    if not isinstance(times, dict):
        return {}
    return {
        shape: each
        for shape, each in times.items()
        if isinstance(each, dict)
        and each.keys() == {"triton", "library"}
        and all(isinstance(value, float | int) and value >= 0 for value in each.values())
    }


@cache
def choices_of(device: int) -> Choices:
    """The choices of one CUDA device, for as long as this process lives."""
    import torch
    import triton  # type: ignore[import-untyped, unused-ignore]

    versions = (
        f"torch {torch.__version__}",
        f"triton {triton.__version__}",
        f"cudnn {torch.backends.cudnn.version()}",
    )
    return new_choices(", ".join((torch.cuda.get_device_name(device), *versions)))

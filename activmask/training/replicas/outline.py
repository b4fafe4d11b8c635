"""The networks of a run without their values: what would be refused of them, found in no time and memory.

On torch's meta device layers have shapes, types and derivatives, and nothing is stored or computed.
"""

import logging
from dataclasses import replace
from functools import partial

import torch

from activmask.models.library_names import is_of_library
from activmask.models.own_code import is_own_code
from activmask.models.settings import Network
from activmask.runs.description import RunConfig
from activmask.training.replicas.batch_sizes import Learners
from activmask.training.replicas.replica import tried_out

NOTES = logging.getLogger(__name__)


def outlined(
    config: RunConfig, seed: int, *, channels: int, classes: int, size: int
) -> tuple[Learners, tuple[str, ...]]:
    """As `tried_out`, on the meta device; where a network cannot be tried there, a note says so and why.

    Args:
        config: the run's description.
        seed: of the initial weights, where there are any.
        channels: C of the images.
        classes: K.
        size: their side in px.

    Raises:
        UsageError: as `tried_out`.
    """
    with_values = partial(tried_out, config, seed, channels=channels, classes=classes, size=size)
    reason = _why_values(config.network)
    if not reason:
        try:
            with torch.device("meta"):
                learners, notes = with_values()
        except Exception as error:
            # Networks of this program are known to run there, so what fails of them would fail anywhere.
            if not is_of_library(config.network.model):
                raise
            reason = f"it cannot be built without: {(str(error) or type(error).__name__).splitlines()[0]}"
        else:
            return replace(learners, with_values=lambda: with_values()[0]), notes
    NOTES.warning("%s is tried with its weights, on the CPU, because %s", config.network.model, reason)
    return with_values()


def _why_values(wanted: Network) -> str:
    """Why a network has to be tried with its values; empty where its shapes are enough."""
    if is_own_code(wanted.model):
        return "what code of one's own answers has to be looked at"
    return "weights to start from are fitted to it" if wanted.weights else ""

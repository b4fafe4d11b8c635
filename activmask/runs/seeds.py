"""Every random choice of a run, as a function of its seed, its epoch and its purpose.

Nothing carries over from one epoch to the next, so a resumed run needs no generator state and a
replica's draws do not depend on the replicas beside it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, get_args

import numpy as np
import torch

Purpose = Literal[
    "weights", "discriminator", "masks", "order", "step", "network", "evaluation", "lending", "places"
]
# A purpose counts by its place here, so that new ones come last.
_PURPOSES: tuple[Purpose, ...] = get_args(Purpose)


def derived_seed(seed: int, purpose: Purpose, epoch: int = 0) -> int:
    """A 63-bit seed that is independent for each seed, purpose and epoch."""
    entropy = np.random.SeedSequence([seed, _PURPOSES.index(purpose), epoch])
    return int(entropy.generate_state(1, np.uint64)[0] >> np.uint64(1))


def derived_generator(
    seed: int, purpose: Purpose, epoch: int = 0, device: torch.device | None = None
) -> torch.Generator:
    """A fresh torch generator for one purpose in one epoch."""
    return torch.Generator(device or "cpu").manual_seed(derived_seed(seed, purpose, epoch))


@contextmanager
def network_randomness(seed: int, epoch: int, device: torch.device) -> Iterator[None]:
    """Give dropout and its like, which know only torch's global generators, this epoch's own stream."""
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.default_generator.manual_seed(derived_seed(seed, "network", epoch))
        if cuda:
            torch.cuda.manual_seed(derived_seed(seed, "network", epoch))
        yield

"""`python -m benchmarks`: what there is to measure."""

import sys
from collections.abc import Sequence

from benchmarks.command import run

BENCHMARKS = {
    "speed": "training, maps, data and kernels as ratios, side by side with the plain way",
    "audit-at-scale": "what a whole audit costs beside its bare forward passes, of 10,000 images",
    "step-profile": "where the time of a training epoch goes, operator by operator",
    "launches": "how many kernels a training step launches, seed by seed and stacked; needs no device",
    "loading": "how fast a set that stays on disk is read, and how much memory that takes",
    "xray-throughput": "how much of the speed of bare decoding and resizing prepare-xray keeps",
    "variants": "which forms of actdiff and gradmask reproduce the paper, and what their peers do",
    "endurance": "what gets lost when commands are killed, given damaged files, or raced",
    "walk": "what somebody types who brings pictures of their own, in a fresh environment, mistakes included",
    "warm-sweeps": "what a grid costs beside its training, and what a report costs again, old against new",
    "compiled": "what the kernels become for a Hopper GPU: registers, shared memory, spilled bytes",
    "organ": "the paper's methods for volumes on one simulated organ",
}
"""One line by benchmark; the module has the name with underscores."""

GPU_RESULT = "speed-gpu"
"""Where `python -m benchmarks --gpu` writes after every figure, so that a cut-off run keeps them."""


def main(arguments: Sequence[str]) -> int:
    """Measure what is named; `--gpu` alone is all CUDA figures of `speed`; returns the exit code."""
    if arguments[:1] != ["--gpu"]:
        return run(BENCHMARKS, arguments)
    import torch

    if not torch.cuda.is_available():
        print("skipped: there is no CUDA device here, which these figures need", file=sys.stderr)
        return 0
    where = [] if "--out" in arguments else ["--out", GPU_RESULT]
    return run(BENCHMARKS, ["speed", *arguments, *where])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

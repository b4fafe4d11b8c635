"""`python -m benchmarks`: what there is to measure."""

import sys

from benchmarks.command import run

BENCHMARKS = {
    "speed": "training, maps, data and kernels as ratios, side by side with the plain way",
    "step-profile": "where the time of a training epoch goes, operator by operator",
    "launches": "how many kernels a training step launches, seed by seed and stacked; needs no device",
    "loading": "how fast a set that stays on disk is read, and how much memory that takes",
    "xray-throughput": "how much of the speed of bare decoding and resizing prepare-xray keeps",
    "variants": "which forms of actdiff and gradmask reproduce the paper, and what their peers do",
    "endurance": "what gets lost when commands are killed, given damaged files, or raced",
    "compiled": "what the kernels become for a Hopper GPU: registers, shared memory, spilled bytes",
    "organ": "the paper's methods for volumes on one simulated organ",
}
"""One line by benchmark; the module has the name with underscores."""

if __name__ == "__main__":
    sys.exit(run(BENCHMARKS, sys.argv[1:]))

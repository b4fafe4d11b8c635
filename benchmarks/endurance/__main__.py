"""`python -m benchmarks.endurance`: short for `python -m benchmarks endurance`."""

import sys

from benchmarks.__main__ import BENCHMARKS
from benchmarks.command import run

if __name__ == "__main__":
    sys.exit(run(BENCHMARKS, ["endurance", *sys.argv[1:]]))

"""What somebody does who brings pictures of their own, walked from the first command to the page.

    python -m benchmarks walk --out benchmarks/results/walk

makes a virtual environment by README's own line, writes files in the formats that people have (DICOM, NIfTI,
photographs, masks, tables), and types what such a person types, mistakes included, in a folder outside the
repository and a terminal of 80 columns. Every command must end with the exit code it should, say what it
should, leave the files it should, and never a traceback; each `next:` line is done as it is printed, but for
one epoch.
"""

import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path

from benchmarks.command import Findings
from benchmarks.result import Cell, column
from benchmarks.walk.chapters import CHAPTERS
from benchmarks.walk.environment import fresh_environment
from benchmarks.walk.files import write_files
from benchmarks.walk.steps import Stepped, walked


def add_options(parser: ArgumentParser) -> None:
    """Declare where to walk."""
    parser.add_argument("--here", action="store_true", help="in this environment, not in a fresh one")
    parser.add_argument(
        "--only", nargs="+", choices=list(CHAPTERS), help="these chapters, and those they need"
    )


def measure(given: Namespace) -> Iterator[Findings]:
    """Walk; what went wrong is printed at once, with the words of the command."""
    done: list[Stepped] = []
    with tempfile.TemporaryDirectory(prefix="walk-") as place:
        programs = Path(sys.executable).parent if given.here else fresh_environment(Path(place) / "venv")
        home = Path(place) / "a folder of mine"
        write_files(home)
        for chapter in CHAPTERS:
            for stepped in walked(chapter, CHAPTERS[chapter], home, programs):
                done.append(stepped)
                mark = "lost" if stepped.faults else "fine"
                print(f"{mark} {stepped.seconds:6.1f} s  {stepped.shown}", file=sys.stderr)
                if stepped.faults:
                    print(*stepped.faults, stepped.said, sep="\n", file=sys.stderr)
            yield _findings(done)


def _findings(done: list[Stepped]) -> Findings:
    rows: list[list[Cell]] = [
        [one.chapter, f"`{one.shown}`", one.code, one.seconds, "; ".join(one.faults) or "yes"] for one in done
    ]
    return Findings(
        title="A walk with pictures of one's own",
        parts=[
            {
                "table": {
                    "columns": [
                        column("chapter"),
                        column("typed"),
                        column("exit code", "d"),
                        column("seconds", "short"),
                        column("as it should be"),
                    ],
                    "rows": rows,
                }
            }
        ],
        failed=any(one.faults for one in done),
    )

"""Notebooks of the documents: what is in them, and their code in order, without a server or a kernel."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "docs/notebooks").glob("*.ipynb"))

_IN_ORDER = """
import json, sys
namespace = {"__name__": "__main__"}
for number, source in enumerate(json.load(sys.stdin), 1):
    exec(compile(source, f"cell {number}", "exec"), namespace)
"""


def cells(notebook: Path, kind: str) -> list[str]:
    """The texts of the cells of a kind, in order."""
    found = read(notebook)["cells"]
    return ["".join(cell["source"]) for cell in found if cell["cell_type"] == kind]


def read(notebook: Path) -> dict[str, Any]:
    return json.loads(notebook.read_text(encoding="utf-8"))


def run(sources: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run pieces of code, one after the other, in one namespace of a fresh process; warnings are errors."""
    environment = {**os.environ, "MPLBACKEND": "agg", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", _IN_ORDER],
        input=json.dumps(sources),
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment,
        check=False,
    )

"""The environment of somebody who has just found the project: README's first line, then the extras."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXTRAS = "mlflow,onnx,tensorboard,timm"
"""What the walk uses beyond the package itself."""


def fresh_environment(place: Path) -> Path:
    """Make a virtual environment as README says, and then its extras; the folder of its programs.

    Raises:
        subprocess.CalledProcessError: pip could not install.
    """
    programs = place / "bin"
    subprocess.run([sys.executable, "-m", "venv", place], check=True)
    for what in (".", f".[{EXTRAS}]"):
        subprocess.run([programs / "pip", "install", "--quiet", what], check=True, cwd=ROOT)
    return programs

"""Settings as the words of `train`."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .shell import command_line

if TYPE_CHECKING:
    from activmask.runs.results import Run


def setting_words(settings: Mapping[str, Any]) -> list[str]:
    """Each setting as its flag, and its value where that is no switch."""
    return [word for name, value in settings.items() for word in _words(name, value)]


def _words(name: str, value: object) -> list[str]:
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{flag}" if value else f"--no-{flag}"]
    return [f"--{flag}", _word(value)]


def _word(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    brief = f"{value:g}"
    return brief if float(brief) == value else repr(value)


def train_command(run: "Run", out: Path) -> str:
    """The command line that trains all seeds of a run anew, into a folder.

    Empty where its images were arrays, which no command line has.
    """
    from activmask.data.settings import ARRAYS
    from activmask.runs.fewest import fewest_settings
    from activmask.runs.toml_file import format_seeds

    if run.config.source.data == ARRAYS:
        return ""
    seeds = sorted({*run.seeds, *run.unfinished, *run.unreadable})
    words = setting_words(fewest_settings(run.config))
    return command_line("activmask", "train", *words, "--seeds", format_seeds(seeds), "--out", out)

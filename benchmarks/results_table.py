"""Measured figures as a table for people and as JSON for programs."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.figure import Figure
from benchmarks.machine import command_line

REACHED = {True: "yes", False: "no", None: ""}
_WIDE = 200


def print_figures(figures: Sequence[Figure], machine: dict[str, Any], *, quick: bool) -> None:
    """Print one row a figure to stdout, the machine below; as wide as needed where nobody watches."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_WIDE)
    table = Table(title="Trial of the code; the numbers mean nothing" if quick else None)
    table.add_column("figure", overflow="fold", ratio=1)
    for column in ("precision", "median", "least to greatest", "rounds", "aim", "reached"):
        table.add_column(column, justify="right", no_wrap=True)
    for figure in figures:
        table.add_row(*(Text(cell) for cell in row_of(figure)))
    console.print(table)
    console.print(Text(machine_line(machine)))


def row_of(figure: Figure) -> tuple[str, ...]:
    """The cells of a figure's row."""
    bound = "at most" if figure.at_most else "at least"
    spread = f"{_shown(min(figure.values), figure)} to {_shown(max(figure.values), figure)}"
    return (
        f"{figure.name} ({figure.note})" if figure.note else figure.name,
        figure.precision,
        _shown(figure.median, figure),
        spread,
        str(len(figure.values)),
        f"{bound} {_shown(figure.target, figure)}" if figure.target is not None else "",
        REACHED[figure.reached],
    )


def _shown(value: float, figure: Figure) -> str:
    if figure.unit == "share":
        return f"{value:.1%}"
    text = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return f"{text}x" if figure.unit == "x" else f"{text} {figure.unit}"


def machine_line(machine: dict[str, Any]) -> str:
    """What the figures were measured on, in one line."""
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    device = "" if machine["device"] == "CPU" else f"{machine['device']}; "
    return (
        f"{device}{machine['processor']}, {machine['cores']} cores, {machine['threads']} threads, "
        f"{machine['system']}; {versions}"
    )


def write_figures(
    path: Path, figures: dict[str, list[Figure]], machine: dict[str, Any], *, quick: bool, seconds: float
) -> None:
    """Write the figures by benchmark, and all that went into them, as JSON."""
    content = {
        "command": command_line(),
        "quick": quick,
        "seconds": round(seconds, 1),
        "machine": machine,
        "figures": [
            {"benchmark": name, **figure.to_json()} for name, own in figures.items() for figure in own
        ],
    }
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

"""What all cases came to, as tables."""

import json
from collections import Counter
from collections.abc import Sequence

from benchmarks.endurance.outcome import KINDS, Outcome
from benchmarks.result import Cell, Column, Part, Table, column

DONE = {"kill": "Kills", "mutation": "Mutations", "race": "Races"}


def parts(outcomes: Sequence[Outcome], repeat: str) -> list[Part]:
    """The tables: all, each kind by command and ending, and what was lost.

    Args:
        outcomes: of all cases.
        repeat: the command that repeats a case, without its name.
    """
    tables: list[Part] = [{"table": _overview(outcomes)}]
    for kind in KINDS:
        own = [outcome for outcome in outcomes if outcome.case.kind == kind]
        if own:
            tables.append({"heading": DONE[kind], "table": _by_command(own)})
    lost = [outcome for outcome in outcomes if outcome.losses]
    if lost:
        tables.append({"heading": "Lost", "table": _losses(lost, repeat)})
    return tables


def counted(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """The figures that the aims speak of."""
    return {
        "kills": sum(outcome.kills for outcome in outcomes),
        "kills of started programs": sum(outcome.really_started for outcome in outcomes),
        "mutations": sum(outcome.case.kind == "mutation" for outcome in outcomes),
        "races": sum(outcome.case.kind == "race" for outcome in outcomes),
        "lost": sum(bool(outcome.losses) for outcome in outcomes),
    }


def said(outcomes: Sequence[Outcome]) -> str:
    """One line for who is waiting."""
    return ", ".join(f"{number:,} {name}" for name, number in counted(outcomes).items())


def behind(outcomes: Sequence[Outcome], seed: int) -> dict[str, object]:
    """For programs: the figures, and each case that was lost."""
    lost = [
        {"case": outcome.case.name, "what": outcome.what, "losses": list(outcome.losses)}
        for outcome in outcomes
        if outcome.losses
    ]
    return {"seed": seed, **counted(outcomes), "losses": lost}


def _overview(outcomes: Sequence[Outcome]) -> Table:
    figures = counted(outcomes)
    lost = Counter(outcome.case.kind for outcome in outcomes if outcome.losses)
    rows: list[list[Cell]] = [
        ["kills that found the program alive", figures["kills"], lost["kill"]],
        ["of these, programs started by their console script", figures["kills of started programs"], None],
        ["damaged files read", figures["mutations"], lost["mutation"]],
        ["races of two or three programs", figures["races"], lost["race"]],
    ]
    return {"columns": [column("what"), column("number", ",d"), column("cases lost", ",d")], "rows": rows}


def _by_command(outcomes: Sequence[Outcome]) -> Table:
    results = sorted({outcome.result for outcome in outcomes})
    columns: list[Column] = [column("command" if outcomes[0].case.kind != "mutation" else "damaged")]
    columns += [column(name, ",d") for name in ("cases", *results, "lost")]
    rows: list[list[Cell]] = []
    for about in sorted({outcome.about for outcome in outcomes}):
        own = [outcome for outcome in outcomes if outcome.about == about]
        ends = Counter(outcome.result for outcome in own)
        lost = sum(bool(outcome.losses) for outcome in own)
        rows.append([about, len(own), *(ends[name] for name in results), lost])
    return {"columns": columns, "rows": rows}


def _losses(lost: Sequence[Outcome], repeat: str) -> Table:
    rows: list[list[Cell]] = [
        [_cell(f"{repeat} {one.case.name}"), _cell(one.what), _cell("; ".join(one.losses))] for one in lost
    ]
    return {"columns": [column("repeat"), column("done"), column("lost")], "rows": rows}


def _cell(text: str) -> str:
    """One line of printable characters that no table mistakes for its own."""
    return json.dumps(text, ensure_ascii=True)[1:-1].replace("|", "\\u007c").replace('\\"', '"')[:600]

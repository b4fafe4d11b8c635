"""A summary as Markdown, LaTeX, CSV and JSON."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from activmask.data.files.tables import format_sheet
from activmask.data.splits import SPLITS
from activmask.evaluation.spread import Spread
from activmask.experiments.printed import PRINTED, Printed
from activmask.ground.shown import json_text
from activmask.report.findings.choices import choices
from activmask.report.findings.experiment import Experiment
from activmask.report.findings.summary import Summary
from activmask.report.tables.experiment_tables import experiment_tables, printed_at
from activmask.report.tables.latex import latex as latex_of
from activmask.report.tables.markdown import markdown as markdown_of
from activmask.runs.entries import MEASURES
from activmask.runs.selection import EPOCHS, Epoch


def markdown(summary: Summary) -> str:
    """The tables under headings, then the notes as a list."""
    return markdown_of(experiment_tables(summary), summary.notes)


def latex(summary: Summary) -> str:
    """The tables with rules of the package booktabs, then the notes as paragraphs."""
    return latex_of(experiment_tables(summary), summary.notes)


def csv(summary: Summary) -> str:
    """One line per experiment, plain numbers, means and SDs in columns of their own."""
    lines = [*(_flat(row) for row in summary.rows), *_lost_lines(summary)]
    header = list(dict.fromkeys(name for line in lines for name in line))
    return format_sheet(header, [[line.get(name, "") for name in header] for line in lines]).decode()


def _flat(row: Experiment) -> dict[str, object]:
    texts = {
        "data": row.data,
        "model": row.model,
        "method": row.method,
        "distinction": row.distinction,
        "form": row.form,
        "selected_by": row.run.config.training.select,
        "folder": str(row.run.folder),
        **_selected_on(row),
    }
    spreads: dict[str, Spread | Printed | None] = {
        **{f"{split}_{name}": row.scores[split][name] for split in SPLITS for name in MEASURES},
        "best_epoch": row.best_epoch,
        **{f"last_{split}_{name}": row.last[split][name] for split in SPLITS for name in MEASURES},
        **{f"paper_{_at(name, epoch)}": _printed(row, name, epoch) for name, epoch in _PRINTED_AT},
        **{
            f"on_{on}_{name}": value
            for on, choice in choices(row.run).items()
            for name, value in vars(choice).items()
        },
    }
    gaps = {f"{_at(one.measure, one.epoch)}{_OURS[one.ours]}": one for one in row.beside}
    return {
        **texts,
        "seeds": len(row.run.seeds),
        "unfinished": len(row.run.unfinished),
        "unreadable": len(row.run.unreadable),
        **dict(_columns(spreads)),
        **dict(_worst_columns(row)),
        **dict(_interval_columns(row)),
        **dict(_seed_columns(row)),
        **{f"{name}_minus_paper": _number(gaps[name].difference) if name in gaps else "" for name in _GAPS},
        **{f"{name}_paper_sds": _number(gaps[name].sds) if name in gaps else "" for name in _GAPS},
        "paper_source": row.source,
        "departures": "; ".join(f"{k} {ours} (paper {paper})" for k, (ours, paper) in row.departures.items()),
        **_flat_comparison(row),
    }


def _selected_on(row: Experiment) -> dict[str, str]:
    """Which validation split chose, of a run that has two."""
    source = row.run.config.source
    return {"selected_on": row.run.config.training.select_on} if source.valid_iid else {}


def _lost_lines(summary: Summary) -> Iterable[dict[str, object]]:
    """A line for each folder of which no experiment is left that could say how many seeds it lost."""
    told = {row.run.folder for row in summary.rows}
    lost: dict[str, int] = {}
    for one in summary.unreadable:
        if one.run not in told:
            lost[str(one.run)] = lost.get(str(one.run), 0) + 1
    for folder, seeds in lost.items():
        yield {"folder": folder, "seeds": 0, "unfinished": 0, "unreadable": seeds}


_OURS = {"auc": "_auc", "accuracy": "_accuracy", "epoch": ""}
_PRINTED_AT: list[tuple[str, Epoch]] = [
    *((name, "best") for name in PRINTED),
    *((split, "last") for split in SPLITS),
]


def _at(measure: str, epoch: Epoch) -> str:
    """A measure as columns name it: those of the last epoch say so."""
    return f"last_{measure}" if epoch == "last" else measure


def _printed(row: Experiment, measure: str, epoch: Epoch) -> Printed | None:
    return row.paper[measure] if printed_at(row, measure, epoch) else None


_GAPS = [
    *(f"{_at(split, epoch)}_{name}" for epoch in EPOCHS for split in SPLITS for name in MEASURES),
    "best_epoch",
]


def _seed_columns(row: Experiment) -> Iterable[tuple[str, object]]:
    """Of how many seeds which is true, a column each, so that no spreadsheet takes 9/0/1 for a date."""
    for epoch in EPOCHS:
        for split in SPLITS:
            ours = row.seeds_at.get(epoch, {}).get(split)
            papers = row.papers_seeds_at.get(split) if printed_at(row, split, epoch) else None
            for name, found in ((_at(split, epoch), ours), (f"paper_{_at(split, epoch)}", papers)):
                for what in ("counted", "chance", "box"):
                    yield f"{name}_seeds_{what}", "" if found is None else getattr(found, what)


def _columns(spreads: dict[str, Spread | Printed | None]) -> Iterable[tuple[str, object]]:
    for name, value in spreads.items():
        yield f"{name}_mean", _number(value.mean if value else None)
        yield f"{name}_sd", _number(value.sd if value else None)


def _worst_columns(row: Experiment) -> Iterable[tuple[str, object]]:
    """Of the worst group, in tables of runs whose images are in groups alone."""
    for epoch, found in row.worst_groups.items():
        name = _at("test_worst_group", epoch)
        yield f"{name}_by", found.by
        yield from _columns({f"{name}_accuracy": found.accuracy})
        yield f"{name}_chance", _number(found.chance)


def _interval_columns(row: Experiment) -> Iterable[tuple[str, object]]:
    """Of the mean test AUC over labels, in tables of runs of several labels alone."""
    for epoch, (low, high) in row.mean_intervals.items():
        yield f"{_at('test', epoch)}_auc_low", _number(low)
        yield f"{_at('test', epoch)}_auc_high", _number(high)


def _number(value: float | None) -> object:
    return "" if value is None else round(value, 6)


def _flat_comparison(row: Experiment) -> dict[str, object]:
    names = ("seeds", "difference", "low", "high", "p", "p_holm")
    found = row.comparison
    if found is None:
        return dict.fromkeys(("baseline_folder", *(f"baseline_{name}" for name in names)), "")
    one = found.difference
    numbers = (one.n, one.mean, one.low, one.high, one.p, found.adjusted_p)
    return {
        "baseline_folder": str(found.baseline.folder),
        **{f"baseline_{name}": _number(number) for name, number in zip(names, numbers, strict=True)},
    }


def json(summary: Summary) -> str:
    """Everything in the summary, full precision; what does not exist is null."""
    value = {
        "rows": [_object(row) for row in summary.rows],
        "unreadable": [
            {"folder": str(one.run), "seed": one.seed, "reason": one.why} for one in summary.unreadable
        ],
        "notes": list(summary.notes),
    }
    return json_text(value) + "\n"


def _object(row: Experiment) -> dict[str, Any]:
    compared = row.comparison
    return {
        "experiment": row.title,
        "data": row.data,
        "model": row.model,
        "method": row.method,
        "distinction": row.distinction,
        "form": row.form or None,
        "selected_by": row.run.config.training.select,
        **_selected_on(row),
        "folder": str(row.run.folder),
        "seeds": list(row.run.seeds),
        "unfinished": list(row.run.unfinished),
        "unreadable": list(row.run.unreadable),
        "scores": {s: {m: _or_null(row.scores[s][m]) for m in MEASURES} for s in SPLITS},
        "last_epoch": {s: {m: _or_null(row.last[s][m]) for m in MEASURES} for s in SPLITS},
        "last_epoch_valid": {m: _or_null(row.last["valid"][m]) for m in MEASURES},
        "best_epoch": _or_null(row.best_epoch),
        **{
            f"chosen_on_{on}": {name: _or_null(value) for name, value in vars(choice).items()}
            for on, choice in choices(row.run).items()
        },
        "seeds_at": {
            epoch: {split: asdict(found) for split, found in by_split.items()}
            for epoch, by_split in row.seeds_at.items()
        },
        **(
            {"worst_groups": {epoch: asdict(found) for epoch, found in row.worst_groups.items()}}
            if row.worst_groups
            else {}
        ),
        **(
            {
                "test_auc_interval": {
                    epoch: {"low": low, "high": high} for epoch, (low, high) in row.mean_intervals.items()
                }
            }
            if row.mean_intervals
            else {}
        ),
        "paper": _paper_object(row) if row.paper else None,
        "departures": {k: {"run": ours, "paper": paper} for k, (ours, paper) in row.departures.items()},
        "baseline": {
            "folder": str(compared.baseline.folder),
            **asdict(compared.difference),
            "p_holm": compared.adjusted_p,
        }
        if compared
        else None,
    }


def _paper_object(row: Experiment) -> dict[str, Any]:
    return {
        "source": row.source,
        "printed": {name: asdict(value) for name, value in row.paper.items()},
        "seeds_at": {name: asdict(found) for name, found in row.papers_seeds_at.items()},
        "distances": [asdict(one) for one in row.beside],
    }


def _or_null(value: Spread | None) -> dict[str, Any] | None:
    return asdict(value) if value else None

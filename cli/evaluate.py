"""`activmask evaluate`: score checkpoints and audit them for shortcuts."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from activmask.runs.description import Device
from activmask.runs.selection import KeptEpoch

from .code_option import Code
from .completion import among
from .console import err, failures_as_sentences, others_talk_aside, write
from .next_steps import say_next
from .progress import counting
from .shell import command_line
from .table_file import check_table_place, write_table
from .unreadable import SkipUnreadable, tell_unreadable

if TYPE_CHECKING:
    from activmask.evaluation.all_labels import AllLabels
    from activmask.evaluation.evaluated import Evaluated
    from activmask.runs.seed_folders import Unreadable


def evaluate(
    checkpoints: Annotated[
        list[Path],
        typer.Argument(help="Checkpoint files, run folders (all their seeds), or folders of runs."),
    ],
    *,
    data: Annotated[
        str | None,
        typer.Option(
            help="Another data set's folder; left out, the data each checkpoint was trained on. Classes are "
            "matched by name, and what the run saw in training is left out.",
            rich_help_panel="Data",
            show_default=False,
        ),
    ] = None,
    split: Annotated[
        str,
        typer.Option(
            help="train, valid, test or valid_iid: of a run's own data as it was written down in training, "
            "of other data by its own column (without one, all of it is test).",
            autocompletion=among(lambda: ("train", "valid", "test", "valid_iid")),
            rich_help_panel="Data",
        ),
    ] = "test",
    accept_recipe: Annotated[
        bool,
        typer.Option(
            "--accept-recipe",
            help="Evaluate on other data although its images were prepared otherwise (source, window, "
            "intensity, labels, channel, size).",
            rich_help_panel="Data",
        ),
    ] = False,
    label: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Of networks of several labels only this one; left out, each.",
            rich_help_panel="Data",
            show_default=False,
        ),
    ] = None,
    groups: Annotated[
        str,
        typer.Option(
            help="Score each group too, the worst among them: images of a class with one site, shortcut "
            "(planted or not), or value of a column of the data set.",
            rich_help_panel="Data",
            show_default="what the run said, else a planted shortcut",
        ),
    ] = "",
    epoch: Annotated[
        KeptEpoch,
        typer.Option(
            help="The epoch that folders stand for. Where a shortcut is learned, the best is the first, "
            "before it was. other: the best by the validation split that did not choose, of runs with two.",
            rich_help_panel="Data",
        ),
    ] = "best",
    device: Annotated[Device, typer.Option(help="Where to compute.", rich_help_panel="Machine")] = "auto",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON instead of tables.", rich_help_panel="Output")
    ] = False,
    predictions: Annotated[
        Path | None,
        typer.Option(
            help="CSV file to write, one row per image, condition of the audit and checkpoint, with a score "
            "per class, and the value that groups it.",
            rich_help_panel="Output",
            show_default=False,
        ),
    ] = None,
    skip_unreadable: SkipUnreadable = False,
    code: Code = None,
) -> None:
    """Score checkpoints, audit them for shortcuts, and measure where they look.

    Example: activmask evaluate demo/runs/actdiff --split test
    """
    with failures_as_sentences(data="the folder that it was moved to as --data"):
        from activmask.evaluation.all_labels import AllLabels, all_labels
        from activmask.evaluation.evaluated import predictions_sheet
        from activmask.evaluation.of_labels import labels_of, labels_sheet
        from activmask.machine.device import choose_device
        from activmask.runs.checkpoint_paths import search_checkpoints

        if predictions is not None:
            check_table_place(predictions, "--predictions", None if data is None else Path(data))
        place = choose_device(device)
        found = [search_checkpoints(given, epoch) for given in checkpoints]
        paths = list(dict.fromkeys(path for one in found for path in one.paths))
        lost = {one.folder: one for several in found for one in several.unreadable}
        asked = len(paths) + len(lost)
        labels = labels_of(paths, label)
        where: dict[str, Any] = {
            "data": data,
            "split": split,
            "accept_recipe": accept_recipe,
            "device": place,
            "code": code or (),
        }
        with others_talk_aside():
            by_label = _asked(paths, labels or (None,), lost, predictions is not None, groups, where)
            read = [path for path in (paths if labels else ()) if path not in lost]
            together = all_labels(read, labels, **where)
        evaluated = [one for of_label in by_label.values() for one in of_label]
        told = {one.error.what if "data" in one.error.ways else one.why for one in lost.values()}
        if not evaluated and len(told) == 1:
            # Of all alike, as of data that are not there, it is no fault of theirs.
            raise next(iter(lost.values())).error
        if predictions is not None and evaluated:
            sheet = labels_sheet(_named(by_label)) if labels else predictions_sheet(evaluated)
            write_table(predictions, sheet, "table of predictions")
            err.print(f"wrote {predictions}")
    _say_notes(evaluated)
    labelled = {path: one for path, one in together.items() if isinstance(one, AllLabels)}
    for path, one in together.items():
        if said := one.unchosen if isinstance(one, AllLabels) else f"of {path} no mean is told: {one}":
            err.print(f"note: {said}")
    if labels and evaluated:
        _print_labels(
            _named(by_label), labelled, list(lost.values()), as_json=as_json, alone=label is not None
        )
    else:
        _print(evaluated, list(lost.values()), as_json=as_json)
    for folder in dict.fromkeys(folder for one in found for folder in one.unfinished):
        err.print(f"note: {folder} is not finished; its training goes on with train --resume")
    of_runs = data is None and split == "test" and epoch == "best"
    if of_runs and not as_json and not lost and not any(one.unfinished for one in found):
        _print_next(checkpoints, evaluated, groups, code or [])
    with failures_as_sentences():
        what = "checkpoints cannot be evaluated"
        tell_unreadable(list(lost.values()), asked, skip=skip_unreadable, what=what)


def _asked(
    paths: list[Path],
    labels: Sequence[str | None],
    lost: "dict[Path, Unreadable]",
    predictions: bool,
    groups: str,
    where: dict[str, Any],
) -> "dict[str | None, list[Evaluated]]":
    """What is measured of checkpoints, by label, or under None; those that cannot be read go to the lost."""
    from activmask.evaluation.batch import evaluate_checkpoints
    from activmask.evaluation.evaluated import Evaluated
    from activmask.runs.seed_folders import Unreadable

    found: dict[str | None, list[Evaluated]] = {label: [] for label in labels}
    questions = [(path, label) for label in labels for path in paths]
    with counting("evaluating networks") as progress:
        outcomes = evaluate_checkpoints(
            questions, predictions=predictions, groups=groups, progress=progress, **where
        )
    for (path, label), one in outcomes.items():
        if isinstance(one, Evaluated):
            found[label].append(one)
        else:
            lost[path] = Unreadable(folder=path, error=one)
    return found


def _named(found: "dict[str | None, list[Evaluated]]") -> "dict[str, list[Evaluated]]":
    return {label: of_label for label, of_label in found.items() if label is not None}


def _say_notes(evaluated: "list[Evaluated]") -> None:
    for note in dict.fromkeys(note for one in evaluated for note in one.notes):
        err.print(f"note: {note}")


def _print_labels(
    found: "dict[str, list[Evaluated]]",
    together: "dict[Path, AllLabels]",
    lost: "list[Unreadable]",
    *,
    as_json: bool,
    alone: bool,
) -> None:
    if as_json:
        from activmask.evaluation.of_labels import labels_to_json
        from activmask.ground.shown import json_text

        write(f"{json_text(labels_to_json(found, together, lost))}\n")
        return
    from .evaluate_labels import print_labels

    print_labels(found, together, lost, alone=alone)


def _print_next(places: list[Path], evaluated: "list[Evaluated]", groups: str, code: Sequence[Path]) -> None:
    """Propose the report of what was evaluated, where it is whole runs of one data set."""
    from activmask.runs.folder import METRICS_FILE, RUN_FILE

    whole = all(place.is_dir() and not (place / RUN_FILE).exists() for place in places)
    finished = all((one.path.parent / METRICS_FILE).exists() for one in evaluated)
    if not (whole and finished) or len({one.data for one in evaluated}) != 1:
        return
    options = (
        *(["--groups", groups] if groups else []),
        *(word for file in code for word in ("--code", file)),
    )
    say_next(command_line("activmask", "report", *places, *options))


def _print(evaluated: "list[Evaluated]", lost: "list[Unreadable]", *, as_json: bool) -> None:
    if not evaluated:
        return
    if as_json:
        from activmask.evaluation.across_seeds import to_json
        from activmask.ground.shown import json_text

        write(f"{json_text(to_json(evaluated, lost))}\n")
        return
    from .evaluation_tables import print_tables

    print_tables(evaluated, lost)

"""`activmask train`: one experiment, for one or several seeds."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from activmask.ground.limits import NUMBERS

from .caller import this_caller
from .code_option import code_words
from .console import err, failures_as_sentences, others_talk_aside, out, write
from .next_steps import say_next
from .ranges import number
from .run_options import given_settings, with_run_options
from .shell import command_line
from .tables import print_table, result_table

if TYPE_CHECKING:
    from activmask.runs.description import RunConfig
    from activmask.runs.searched import Searched
    from activmask.runs.sittings import Caller
    from activmask.tracking.tracker import Tracked
    from activmask.training.replicas.watcher import Callback, Watcher
    from activmask.training.run import SeedResult

_RUN = "Run"


@with_run_options
def train(
    *,
    config_file: Annotated[
        Path | None,
        typer.Option(
            "--config", help="TOML file of settings; flags win.", rich_help_panel=_RUN, show_default=False
        ),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(help="Seeds to train, for example 0-9 or 0,3.", rich_help_panel=_RUN, show_default="0"),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            help="Folder name under runs/.", rich_help_panel=_RUN, show_default="made from the settings"
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--out", help="The run's folder.", rich_help_panel=_RUN, show_default="runs/NAME"),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Continue from the last saved epoch.", rich_help_panel=_RUN),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Start anew where there is a run.", rich_help_panel=_RUN)
    ] = False,
    track: Annotated[
        Literal["tensorboard", "mlflow"] | None,
        typer.Option(
            help="Tracker that is told of the run while it trains.", rich_help_panel=_RUN, show_default="none"
        ),
    ] = None,
    track_images: Annotated[
        int,
        number(
            NUMBERS,
            help="Every how many epochs it gets pictures of saliency; 0 is never.",
            rich_help_panel=_RUN,
        ),
    ] = 0,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Try whether it could begin, print the resolved run as TOML and stop.",
            rich_help_panel=_RUN,
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the scores as JSON.", rich_help_panel=_RUN)
    ] = False,
    **settings: Any,
) -> None:
    """Train a classifier whose attribution is controlled, and score its best and its last epoch.

    A switch that a file turns on is turned off by its opposite: --no-compile.

    Example: activmask train --model resnet18 --actdiff 10 --width 16 --lr 1e-3 --epochs 10
    """
    with failures_as_sentences(
        "out",
        "resume",
        "overwrite",
        "split_policy",
        "split_ratio",
        "train_images",
        "valid_images",
        "test_images",
    ):
        from activmask.models.build import check_model
        from activmask.runs.toml_file import format_config

        config, chosen, searched = _resolve(config_file, seeds, given_settings(settings))
        target = _target(name, folder, config)
        _check_flags(resume, overwrite, dry_run, as_json)
        trackers = _trackers(track, track_images, overwrite)
        if dry_run:
            check_model(config.network)
            text = format_config(config, chosen)
            _rehearse(config, chosen)
            write(text)
            return
        caller = this_caller(name or "")
        with others_talk_aside():
            results = _run(
                config, chosen, target, caller, trackers, searched, resume=resume, overwrite=overwrite
            )
    if not results:
        return
    if as_json:
        _write_json(results)
        return
    print_results(results, config)
    _print_next(results, config, target)


def _resolve(
    config_file: Path | None, seeds: str | None, settings: dict[str, Any]
) -> tuple["RunConfig", tuple[int, ...], "Searched | None"]:
    from activmask.runs.departures import departures_from
    from activmask.runs.first_run import settings_of_run
    from activmask.runs.making import make_config
    from activmask.runs.toml_file import Told, parse_seeds, read_told

    told = read_told(config_file) if config_file else Told(settings={}, seeds=None, searched=None)
    given = {**told.settings, **settings}
    of_run, its_seeds = settings_of_run(Path(first)) if (first := given.get("retrain_head")) else ({}, (0,))
    chosen = parse_seeds(seeds) if seeds is not None else told.seeds or its_seeds
    config = make_config(**{**of_run, **given})
    if told.searched and (departures := departures_from(told.settings, config)):
        err.print(
            f"note: this run departs from what the search of {config_file} chose ({', '.join(departures)}), "
            "so it does not count as its choice"
        )
        return config, chosen, None
    return config, chosen, told.searched


def _rehearse(config: "RunConfig", seeds: tuple[int, ...]) -> None:
    """Refuse now what training would refuse later (raises ActivmaskError)."""
    from activmask.training.readiness import refusal_of_seeds, waits_for_data

    refused = refusal_of_seeds(config, seeds)
    if refused is None:
        return
    if not waits_for_data(config, refused):
        raise refused
    err.print(f"note: {config.source.data} is not there yet, so nothing was tried on its images")


def _target(name: str | None, folder: Path | None, config: "RunConfig") -> Path:
    from activmask.ground.errors import UsageError
    from activmask.ground.folder_names import check_folder_name
    from activmask.runs.usual_folder import RUNS, usual_folder

    if name is not None and folder:
        raise UsageError("--name and --out both say where the run goes; give one of them")
    if name is not None:
        check_folder_name(name, "--name", "use --out for a path")
    return folder or (RUNS / name if name else usual_folder(config))


def _check_flags(resume: bool, overwrite: bool, dry_run: bool, as_json: bool) -> None:
    from activmask.ground.errors import UsageError

    if dry_run and as_json:
        raise UsageError("--json prints scores, and --dry-run trains nothing; give one of them")

    if resume and overwrite:
        raise UsageError("--resume continues a run and --overwrite discards it; give one of them")


def _trackers(track: "Tracked | None", images: int, overwrite: bool) -> tuple["Callback", ...]:
    from activmask.ground.errors import UsageError

    if track is None:
        if images:
            raise UsageError("--track-images has no effect without --track")
        return ()
    from activmask.tracking.tracker import tracker

    return (tracker(track, images=images, anew=overwrite),)


def _run(
    config: "RunConfig",
    seeds: tuple[int, ...],
    target: Path,
    caller: "Caller",
    trackers: tuple["Callback", ...],
    searched: "Searched | None",
    *,
    resume: bool,
    overwrite: bool,
) -> list["SeedResult"]:
    from activmask.machine.world import read_world
    from activmask.report.findings.words import count
    from activmask.training.run import train as train_run

    from .progress import TrainingProgress

    if not read_world().writes:
        return train_run(config, seeds, target, resume=resume, overwrite=overwrite, caller=caller)
    epochs = count(config.training.epochs, "epoch")
    err.print(f"{config.network.model}, {epochs}, into {target}")
    if len(seeds) > 1:
        _note_same_images(config)
    before = set() if resume else _states(target, seeds)
    try:
        with TrainingProgress(len(seeds), config.training.epochs) as bar:
            told: list[Watcher] = [bar, *trackers]
            return train_run(
                config,
                seeds,
                target,
                resume=resume,
                overwrite=overwrite,
                caller=caller,
                searched=searched,
                progress=told,
            )
    except KeyboardInterrupt:
        saved = bool(_states(target, seeds) - before)
        err.print(_after_a_stop(saved, resume=resume, overwrite=overwrite))
        raise


def _states(folder: Path, seeds: tuple[int, ...]) -> set[tuple[int, int]]:
    """The files from which seeds could be resumed, known by what changes whenever they are written."""
    from activmask.runs.folder import STATE_FILE, seed_folder

    paths = (seed_folder(folder, seed) / STATE_FILE for seed in seeds)
    found = [path.stat() for path in paths if path.exists()]
    return {(one.st_ino, one.st_mtime_ns) for one in found}


def _after_a_stop(saved: bool, *, resume: bool, overwrite: bool) -> str:
    """How to go on with a training that was interrupted.

    Args:
        saved: whether there is an epoch of it to go on from.
        resume: whether it was one that had gone on itself.
        overwrite: whether it began by discarding another.
    """
    if not saved:
        return "stopped before an epoch was saved; the same command starts anew"
    if resume:
        return "stopped; the same command continues from the last saved epoch"
    instead = " in the place of --overwrite" if overwrite else ""
    return f"stopped; the same command with --resume{instead} continues from the last saved epoch"


def _note_same_images(config: "RunConfig") -> None:
    """Say where seeds differ in weights and order alone, so that their spread is not mistaken for more."""
    from activmask.data.settings import draws_images

    if draws_images(config.source) and config.source.split_seed < 0:
        return
    another = (
        "leave split_seed out to draw each seed its own"
        if draws_images(config.source)
        else "--split-policy subject draws each seed its own split, --data synthetic its own benchmark"
    )
    err.print(
        "note: all seeds train and are judged on the same images; they differ in weights, order and shuffles "
        f"alone ({another})"
    )


def _write_json(results: list["SeedResult"]) -> None:
    """What `metrics.json` of each seed holds, whose epochs count from 0."""
    from activmask.ground.shown import json_text

    seeds = [
        {"folder": str(result.folder), "trained": result.trained, "metrics": dict(result.metrics)}
        for result in results
    ]
    write(f"{json_text({'seeds': seeds})}\n")


def print_results(results: list["SeedResult"], config: "RunConfig") -> None:
    """The scores at the best epoch and at the last, as mean ± SD where there are several seeds."""
    from activmask.data.settings import IID
    from activmask.data.splits import SPLITS
    from activmask.runs.entries import MEASURES
    from activmask.runs.folder import last_scores
    from activmask.runs.selection import chosen_by

    best = [result.metrics["best_epoch"] + 1.0 for result in results]
    lasts = [last_scores(result.folder, result.metrics) for result in results]
    seeds = "" if len(results) == 1 else f", {len(results)} seeds"
    if labels := len(results[0].metrics["test"].get("label_auc", ())):
        seeds += f", means over {labels} labels"
    columns = [f"{what}, {epoch}" for epoch in ("best", "last") for what in ("AUC", "accuracy")]
    title = f"Best epoch {_spread(best, 0)} by {chosen_by(config)}{seeds}"
    table = result_table(title, "split", *columns)
    for split in (*SPLITS, *([IID] if config.source.valid_iid else [])):
        scores = [
            *([result.metrics[split][name] for result in results] for name in MEASURES),
            *([last[split][name] for last in lasts if split in last] for name in MEASURES),
        ]
        table.add_row(split, *(_spread(values, 3) for values in scores))
    print_table(table)
    _print_other_choice(results, config)
    _print_worst_groups(results)
    lacking = [
        str(result.seed) for result, last in zip(results, lasts, strict=True) if len(last) < len(SPLITS)
    ]
    if lacking:
        seed = "seeds" if len(lacking) > 1 else "seed"
        out.print(f"an older version did not store all last scores of {seed} {', '.join(lacking)}")


def _print_other_choice(results: list["SeedResult"], config: "RunConfig") -> None:
    """What the validation split that did not choose would have, of runs with two."""
    from activmask.runs.selection import chosen_by, other_split

    others = [result.metrics["other"] for result in results if "other" in result.metrics]
    if not others:
        return
    epoch = _spread([other["best_epoch"] + 1.0 for other in others], 0)
    scores = [_spread([other["test"][name] for other in others], 3) for name in ("auc", "accuracy")]
    out.print(
        f"by {chosen_by(config, other_split(config.training.select_on))} the best epoch is {epoch}: test AUC "
        f"{scores[0]}, test accuracy {scores[1]}"
    )


def _print_worst_groups(results: list["SeedResult"]) -> None:
    """The worst group's accuracy on the test images, where they are in groups."""
    from activmask.runs.entries import GROUPS

    told = [result.metrics[GROUPS] for result in results if GROUPS in result.metrics]
    by_epoch = {
        epoch: [found for one in told if (found := one[epoch]["test"])["worst"] is not None]
        for epoch in ("best", "last")
    }
    scores = [
        f"{_spread([one['worst']['accuracy'] for one in found], 3)} at the {epoch} epoch "
        f"({_spread([one['chance'] for one in found], 3)} by chance)"
        for epoch, found in by_epoch.items()
        if found
    ]
    if scores:
        by = ", ".join(dict.fromkeys(one["by"] for found in by_epoch.values() for one in found))
        out.print(f"test accuracy of the worst group by class and {by}: {', '.join(scores)}")


def _print_next(results: list["SeedResult"], config: "RunConfig", target: Path) -> None:
    from activmask.runs.selection import selection_rule

    if not any(result.trained for result in results):
        out.print("this run was finished already; nothing was trained (--overwrite starts anew)")
    out.print(f"the best epoch is the {selection_rule(config)}")
    say_next(command_line("activmask", "evaluate", target, *code_words(config.network.model)))


def _spread(values: list[float], digits: int) -> str:
    import statistics

    if not values:
        return "-"
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    digits = digits or 1
    return f"{statistics.fmean(values):.{digits}f} ± {statistics.stdev(values):.{digits}f}"

"""`activmask search`: the settings that score best on validation images, found within a budget."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from activmask.ground.limits import COUNTS, NUMBERS

from .caller import this_caller
from .console import TRAINING_FAILED, err, failures_as_sentences, write
from .engines import AddressOption, EngineName, EngineOption, at_once, chosen_engine, slots
from .ranges import number
from .run_options import given_settings, with_run_options
from .search_words import SearchProgress, conclude, print_search_plan, search_as_json

if TYPE_CHECKING:
    from activmask.experiments.jobs import Engine
    from activmask.tuning.plan import Plan
    from activmask.tuning.trial import Trial

_SEARCH = "Search"
_OUTPUT = "Output"


@with_run_options
def search(
    *,
    over: Annotated[
        list[str],
        typer.Option(
            help="Where to look: ranges of numbers, by their logarithm (lr=1e-5..1e-2:log) or evenly "
            "(actdiff=0..10), and choices (model=cnn|resnet18), with commas between them; can be repeated.",
            rich_help_panel=_SEARCH,
            show_default=False,
        ),
    ],
    trials: Annotated[
        int, number(COUNTS, help="How many settings to try: the budget.", rich_help_panel=_SEARCH)
    ] = 50,
    seeds: Annotated[
        str,
        typer.Option(
            help="How many seeds each trial gets, or which: 3, 0-2 or 0,3. Its score is the mean over them.",
            rich_help_panel=_SEARCH,
        ),
    ] = "3",
    sampler: Annotated[
        Literal["tpe", "gp", "random"],
        typer.Option(
            help="What proposes trials: Parzen estimators, a Gaussian process, or chance alone. The first "
            "two begin with ten by chance.",
            rich_help_panel=_SEARCH,
        ),
    ] = "tpe",
    seed: Annotated[
        int,
        number(
            NUMBERS,
            help="Of the sampler. With --max-parallel 1 the same command proposes the same trials.",
            rich_help_panel=_SEARCH,
        ),
    ] = 0,
    prune: Annotated[
        Literal["none", "seeds", "epochs"],
        typer.Option(
            help="Give up a trial that is below the median of earlier ones, from the sixth on: after each "
            "seed, or after a quarter and half of the epochs.",
            rich_help_panel=_SEARCH,
        ),
    ] = "none",
    config_file: Annotated[
        Path | None,
        typer.Option(
            "--config",
            help="TOML file of settings of every trial; flags win.",
            rich_help_panel=_SEARCH,
            show_default=False,
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Folder of the trials' run folders, the database and the winner.",
            rich_help_panel=_OUTPUT,
            show_default="runs/NAME-search-SETTINGS",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Print where it would look, its budget and an estimate of the time, and stop.",
            rich_help_panel=_OUTPUT,
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print how it ended as JSON.", rich_help_panel=_OUTPUT)
    ] = False,
    engine: EngineOption = "local",
    address: AddressOption = None,
    max_parallel: Annotated[int | None, at_once("Trials")] = None,
    **settings: Any,
) -> None:
    """Search settings of train that score best on validation images; the same command again goes on.

    A trial is an ordinary run folder. Its score is the one by which train selects its epoch (--select), on
    the validation images; test scores play no part. The winner is written as TOML for train --config, with
    a warning where it lies at an end of a range. A switch that a file turns on is turned off by its
    opposite: --no-compile.

    Example: activmask search --over lr=1e-4..1e-1:log,actdiff=1e-2..10:log --trials 20 --seeds 3
    """
    with failures_as_sentences():
        from activmask.ground.errors import UsageError
        from activmask.tuning.outcome import best_of, write_winner
        from activmask.tuning.plan import Plan, check_plan
        from activmask.tuning.search import is_over
        from activmask.tuning.space import parse_over

        if dry_run and as_json:
            raise UsageError("--json tells how a search ended, and --dry-run begins none; give one of them")
        dimensions = parse_over(over)
        plan = Plan(
            settings=_settings([one.name for one in dimensions], config_file, given_settings(settings)),
            over=dimensions,
            trials=trials,
            seeds=_seeds(seeds),
            folder=folder or Path(),
            sampler=sampler,
            seed=seed,
            prune=prune,
        )
        check_plan(plan)
        plan = plan if folder else replace(plan, folder=_usual_folder(plan))
        if dry_run:
            if not print_search_plan(plan, slots(max_parallel, plan.usual, plan.trials)):
                raise typer.Exit(TRAINING_FAILED)
            return
        _check_begin(plan, engine)
        found = _run(plan, chosen_engine(engine, address, max_parallel, plan.usual, plan.trials))
        best = best_of(found, plan.select)
        winner = write_winner(plan, best) if best and is_over(plan, found) else None
        if as_json:
            write(search_as_json(plan, found, winner))
        else:
            conclude(plan, found, winner)
    if winner is None:
        raise typer.Exit(TRAINING_FAILED)


def _settings(searched: list[str], config_file: Path | None, flags: dict[str, Any]) -> dict[str, Any]:
    """Of every trial. A file mostly tells every setting, so those searched over are not taken from it."""
    from activmask.runs.toml_file import read_config

    from_file = read_config(config_file)[0] if config_file else {}
    return {**{name: value for name, value in from_file.items() if name not in searched}, **flags}


def _seeds(text: str) -> tuple[int, ...]:
    from activmask.runs.toml_file import count_or_seeds

    return count_or_seeds(text)


def _usual_folder(plan: "Plan") -> Path:
    from activmask.runs.names import run_name

    return Path("runs") / "-".join([run_name(plan.usual), "search", *(one.name for one in plan.over)])


def _check_begin(plan: "Plan", engine: EngineName) -> None:
    """Refuse now what every trial would fail by (raises UsageError or DataError)."""
    from activmask.experiments.jobs import Job, check_data
    from activmask.tuning.storage import STORAGE_FILE, import_optuna

    import_optuna()
    if engine == "local" and not (plan.folder / STORAGE_FILE).exists():
        check_data([Job(name="", title="", config=plan.usual, seeds=plan.seeds, folder=plan.folder)])


def _run(plan: "Plan", engine: "Engine") -> list["Trial"]:
    from activmask.report.findings.words import count
    from activmask.runs.selection import selected_by
    from activmask.tuning.search import run_search

    names = ", ".join(one.name for one in plan.over)
    budget = f"{count(plan.trials, 'trial')} of {count(len(plan.seeds), 'seed')}"
    err.print(f"search over {names}: {budget}, by {selected_by([plan.usual])}, into {plan.folder}")
    try:
        with SearchProgress(plan) as progress:
            return run_search(plan, engine, progress.show, caller=this_caller())
    except KeyboardInterrupt:
        err.print("stopped; the same command again goes on with what is missing")
        raise

"""What a search is: where it looks, how much it may try, and what a trial of it trains."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from activmask.ground.errors import UsageError
from activmask.runs.description import RunConfig, SelectBy, SelectOn, changed, written
from activmask.runs.identity import OF_NO_EXPERIMENT
from activmask.runs.making import make_config
from activmask.runs.optimisation import spans_all_epochs
from activmask.runs.searched import Searched
from activmask.runs.toml_file import format_seeds
from activmask.tuning.space import Dimension, Value, check_space, corners

Sampler = Literal["tpe", "gp", "random"]
Prune = Literal["none", "seeds", "epochs"]
_PARTS_OF_EPOCHS = (4, 2)
"""By what the epochs of a trial are divided where it may be given up, before it gets all of them."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What of a trial is trained before it may be given up."""

    seeds: tuple[int, ...]
    epochs: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A search.

    Two of one `over`, `trials`, `seeds`, `prune` and epochs had equal budgets.
    """

    settings: Mapping[str, Any]
    """Of every trial, as `make_config` takes them."""
    over: tuple[Dimension, ...]
    trials: int
    seeds: tuple[int, ...]
    """Of each trial; its score is the mean over them."""
    folder: Path
    """Of the run folders of its trials, and of all that is kept of it."""
    sampler: Sampler = "tpe"
    seed: int = 0
    """Of the sampler; trials one after another are the same again for the same seed."""
    prune: Prune = "none"

    def config(self, values: Mapping[str, Value]) -> RunConfig:
        """What a trial trains (raises UsageError)."""
        return make_config(**{**self.settings, **values})

    @cached_property
    def usual(self) -> RunConfig:
        """The trial at the lowest end of everything."""
        return self.config(next(corners(self.over)))

    @property
    def select(self) -> SelectBy:
        """The validation score that it goes by, which selects the best epoch of each run too."""
        return self.usual.training.select

    @property
    def select_on(self) -> SelectOn:
        """The validation split of that score."""
        return self.usual.training.select_on

    @property
    def epochs(self) -> int:
        """Of each seed."""
        return self.usual.training.epochs

    @property
    def stages(self) -> tuple[Stage, ...]:
        """What a trial trains, one after another; before each but the first it may be given up."""
        whole = Stage(seeds=self.seeds, epochs=self.epochs)
        if self.prune == "seeds":
            return tuple(Stage(seeds=self.seeds[: n + 1], epochs=self.epochs) for n in range(len(self.seeds)))
        if self.prune == "epochs":
            parts = dict.fromkeys(self.epochs // part for part in _PARTS_OF_EPOCHS)
            return (*(Stage(seeds=self.seeds, epochs=part) for part in parts if part), whole)
        return (whole,)

    def stage_config(self, values: Mapping[str, Value], stage: Stage) -> RunConfig:
        """What is trained at a stage."""
        return changed(self.config(values), epochs=stage.epochs)

    def identity(self) -> dict[str, Any]:
        """What makes it the same search when it is called again: all but the number of trials."""
        left_out = {*OF_NO_EXPERIMENT, *(one.name for one in self.over)}
        return {
            "over": {one.name: str(one) for one in self.over},
            "seeds": format_seeds(self.seeds),
            "sampler": self.sampler,
            "seed": self.seed,
            "prune": self.prune,
            "settings": {name: value for name, value in written(self.usual).items() if name not in left_out},
        }

    def searched(self, trial: int, *, winner: bool = False) -> Searched:
        """What a run of one of its trials says of it."""
        return Searched(
            over={one.name: str(one) for one in self.over},
            trials=self.trials,
            seeds=format_seeds(self.seeds),
            epochs=self.epochs,
            prune=self.prune,
            select=self.select,
            select_on=self.select_on,
            sampler=self.sampler,
            trial=trial,
            winner=winner,
        )


def check_plan(plan: Plan) -> None:
    """Refuse a search that makes no sense (raises UsageError)."""
    if plan.trials < 1:
        raise UsageError("a search needs at least one trial", found=str(plan.trials))
    if not plan.seeds:
        raise UsageError("a search needs at least one seed")
    check_space(plan.settings, plan.over)
    if plan.prune == "seeds" and len(plan.seeds) == 1:
        raise UsageError("pruning by seeds has no effect with one seed; give more, or leave it out")
    if plan.prune != "epochs":
        return
    if plan.epochs < 2:
        raise UsageError("pruning by epochs has no effect with one epoch; give more, or leave it out")
    optimisation = plan.usual.optimisation
    if spans_all_epochs(optimisation) or optimisation.patience or _over_schedule(plan):
        raise UsageError(
            "pruning by epochs trains some epochs and then more of the same run, which a schedule over all "
            "epochs, and patience, forbid; prune by seeds, or leave them out"
        )


def _over_schedule(plan: Plan) -> bool:
    return any(one.name in {"schedule", "patience"} for one in plan.over)

"""A search as Optuna keeps it: in a database beside its runs, which alone knows what was tried.

One process at a time writes there, so SQLite does, on whatever file system holds the runs.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from activmask.ground.errors import PATH, DataError, UsageError
from activmask.ground.places import real
from activmask.tuning.plan import Plan
from activmask.tuning.space import Dimension

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler

STORAGE_FILE = "search.sqlite"
"""In the search's folder."""

_NAME, _PLAN = "search", "plan"


def import_optuna() -> Any:
    """The module `optuna`.

    Raises:
        UsageError: Optuna is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise UsageError("search needs Optuna: pip install 'activmask[search]'") from error
    return optuna


@contextmanager
def _storage_told(folder: Path) -> Iterator[None]:
    """Tell in a sentence where the database cannot be used (raises DataError), and keep Optuna quiet."""
    import_optuna()
    from optuna.exceptions import ExperimentalWarning, StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    logger = logging.getLogger("optuna")
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            yield
    except (SQLAlchemyError, StorageInternalError) as error:
        path = folder / STORAGE_FILE
        why = str(error.__cause__ or error).partition("\n")[0]
        raise DataError(
            f"{PATH} cannot be used ({why})", path=path, advice="give another folder, or restore it"
        ) from error
    finally:
        logger.setLevel(before)


@contextmanager
def opened_study(plan: Plan) -> Iterator["Study"]:
    """The search as it was left, or a new one.

    Raises:
        UsageError: another search lies in the folder, or one with more trials; or Optuna is not installed.
        DataError: the database cannot be used.
    """
    optuna = import_optuna()
    with _storage_told(plan.folder):
        storage = optuna.storages.RDBStorage(f"sqlite:///{real(plan.folder / STORAGE_FILE)}")
        try:
            study: Study = optuna.create_study(
                storage=storage,
                study_name=_NAME,
                direction="minimize" if plan.select == "loss" else "maximize",
                load_if_exists=True,
                pruner=optuna.pruners.NopPruner() if plan.prune == "none" else optuna.pruners.MedianPruner(),
            )
            _check_same(study, plan)
            yield study
        finally:
            storage.remove_session()
            storage.engine.dispose()


def _check_same(study: "Study", plan: Plan) -> None:
    found, wanted = study.user_attrs.get(_PLAN), plan.identity()
    if found is None:
        study.set_user_attr(_PLAN, wanted)
    elif found != wanted:
        raise UsageError(
            f"{PATH} holds another search ({_difference(found, wanted)})",
            path=plan.folder,
            advice="repeat its command, or use another out folder",
        )
    if len(study.trials) > plan.trials:
        raise UsageError(
            f"{PATH} holds {len(study.trials)} trials already, more than the {plan.trials} asked for",
            path=plan.folder,
            advice="ask for at least as many, or use another out folder",
        )


def _difference(found: dict[str, Any], wanted: dict[str, Any]) -> str:
    """The first thing in which two searches differ."""
    for name in ("over", "settings"):
        for key in dict.fromkeys([*found.get(name, {}), *wanted[name]]):
            before, now = found.get(name, {}).get(key, "none"), wanted[name].get(key, "none")
            if before != now:
                return f"{key} was {before}, is {now}"
    name = next((name for name in wanted if found.get(name) != wanted[name]), _PLAN)
    return f"{name} was {found.get(name)}, is {wanted.get(name)}"


def sampler_of(plan: Plan, number: int) -> "BaseSampler":
    """What proposes one trial, drawn anew for each: a search that was killed goes on as it would have."""
    samplers = import_optuna().samplers
    drawn = np.random.SeedSequence([plan.seed, number]).generate_state(1)
    make = {"tpe": samplers.TPESampler, "gp": samplers.GPSampler, "random": samplers.RandomSampler}
    sampler: BaseSampler = make[plan.sampler](seed=int(drawn[0]))
    return sampler


def distributions_of(over: tuple[Dimension, ...]) -> dict[str, "BaseDistribution"]:
    """Where a search looks, as Optuna takes it."""
    return {one.name: _distribution(one) for one in over}


def _distribution(one: Dimension) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if one.ends is None:
        return CategoricalDistribution(one.values)
    low, high = one.ends
    if one.whole:
        return IntDistribution(int(low), int(high), log=one.log)
    return FloatDistribution(low, high, log=one.log)

"""What a search came to: the winner, how sure it is, whether it lies at an end, and its file."""

from collections.abc import Iterator, Sequence
from math import sqrt
from pathlib import Path

from activmask.ground.files import write_whole
from activmask.ground.limits import RUN_SEEDS
from activmask.ground.settings import Setting
from activmask.runs.description import WORST_GROUP, SelectBy, SelectOn, all_settings, written
from activmask.runs.entries import GROUPS
from activmask.runs.folder import read_metrics, seed_folder
from activmask.runs.manifest import read_entries
from activmask.runs.searched import searched_to_json
from activmask.runs.toml_file import as_toml, format_seeds
from activmask.tuning.plan import Plan
from activmask.tuning.space import Dimension, in_words
from activmask.tuning.trial import Trial

WINNER_FILE = "best.toml"
"""In the search's folder, once all trials are over."""

NEAR = 0.05
"""Share of a range, as it is sampled, within which a value lies at an end."""


def best_of(trials: Sequence[Trial], select: SelectBy) -> Trial | None:
    """The trial with the best mean over all seeds, of equal ones the first; None where none was scored."""
    done = [one for one in trials if one.status == "done"]
    sign = -1.0 if select == "loss" else 1.0
    return max(done, key=lambda one: sign * one.score, default=None)


def rivals_of(best: Trial, trials: Sequence[Trial], select: SelectBy) -> list[Trial]:
    """The other trials whose mean lies within a standard error of the best's mean; none for one seed."""
    error = standard_error(best)
    if error is None:
        return []
    sign = -1.0 if select == "loss" else 1.0
    return [
        one
        for one in trials
        if one.status == "done" and one is not best and sign * (best.score - one.score) <= error
    ]


def standard_error(trial: Trial) -> float | None:
    """Of a trial's mean over its seeds; None for one seed."""
    return None if trial.sd is None else trial.sd / sqrt(len(trial.scores))


def at_ends(best: Trial, over: Sequence[Dimension]) -> Iterator[str]:
    """A sentence for every range at an end of which the best trial lies."""
    for one in over:
        value = best.values[one.name]
        if one.ends is None or not isinstance(value, int | float):
            continue
        place = one.place(value)
        if NEAR < place < 1 - NEAR and value not in one.ends:
            continue
        upper = place > 0.5
        end = "upper" if upper else "lower"
        yield (
            f"{one.name}: the best, {in_words(value)}, lies at the {end} end of {one}, so a better one may "
            f"lie beyond; {_advice(one, all_settings()[one.name], upper=upper)}"
        )


def _advice(one: Dimension, known: Setting, *, upper: bool) -> str:
    assert one.ends is not None
    if one.ends[upper] == (known.range.most if upper else known.range.least):
        return "it allows no further value, so be wary of what it means there"
    return f"search a range that goes further {'up' if upper else 'down'}, with the other arms likewise"


def chance_of(trial: Trial, select: SelectBy, on: SelectOn) -> float | None:
    """What guessing scores on the validation images: 0.5 by AUC, the larger class's share by accuracy.

    By the worst group, what the least accuracy of as many groups would be if their column told nothing.

    Args:
        trial: with finished seeds.
        select: the score.
        on: the validation split of it.

    Returns:
        The mean over seeds; None for the loss, where images were drawn in memory and have no list, and for
        the accuracy over several labels an image.

    Raises:
        DataError: a list of images is damaged.
        CheckpointError: the scores of a seed are.
    """
    if select == "auc":
        return 0.5
    if select == "loss":
        return None
    if select == WORST_GROUP:
        return _chance_of_worst(trial, on)
    shares = []
    for seed in trial.scores:
        labels = [one.label for one in read_entries(seed_folder(trial.folder, seed)) if one.split == on]
        if not labels or isinstance(labels[0], str):
            return None
        shares.append(max(labels.count(label) for label in set(labels)) / len(labels))
    return sum(shares) / len(shares)


def _chance_of_worst(trial: Trial, on: SelectOn) -> float | None:
    """The mean over seeds of what each one's best epoch would have (raises CheckpointError)."""
    told = [read_metrics(seed_folder(trial.folder, seed)) for seed in trial.scores]
    shares = [one[GROUPS]["best"][on]["chance"] for one in told if one is not None and GROUPS in one]
    return sum(shares) / len(shares) if shares else None


def fresh_seeds(seeds: Sequence[int]) -> tuple[int, ...]:
    """As many seeds on which nothing was searched, as the winner's scores on its own are optimistic."""
    first = max(seeds) + 1
    return tuple(range(first, first + len(seeds))) if first + len(seeds) <= RUN_SEEDS.most else tuple(seeds)


def write_winner(plan: Plan, best: Trial) -> Path:
    """Write the winner as TOML for `train --config`, with seeds that the search did not use.

    Raises:
        DataError: the file system refuses.
        UsageError: a setting is no text.
    """
    path = plan.folder / WINNER_FILE
    table = {
        "seeds": format_seeds(fresh_seeds(plan.seeds)),
        **written(best.config),
        **searched_to_json(plan.searched(best.number, winner=True)),
    }
    write_whole(path, as_toml(table).encode())
    return path

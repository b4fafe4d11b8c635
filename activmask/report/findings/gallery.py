"""What the networks of one data set make of the same validation images."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import torch

from activmask.data.samples import Samples
from activmask.data.settings import IN_MEMORY, View, split_seed
from activmask.evaluation.basis import common_basis
from activmask.ground.errors import CheckpointError, DataError, UsageError
from activmask.models import MODELS
from activmask.objectives.chosen import shown_always
from activmask.report.findings.looks import Look, Shown, looks_at, shown
from activmask.report.findings.series import papers_methods, series_names, with_all_masks, without_repeats
from activmask.runs.folder import CHECKPOINT_FILES, seed_folder
from activmask.runs.names import model_name
from activmask.runs.results import Run
from activmask.runs.selection import Epoch
from activmask.training.feed.kept_masks import with_lent_masks
from activmask.training.feed.origin import absolute
from activmask.training.feed.reading import Reading
from activmask.training.feed.trained_data import Trained, of_seed, own_split

Place = tuple[str, str]
"""Row and column: model and method."""
RunSeed = tuple[Run, int]
"""A run and the seed that stands for it."""


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """The networks of one data set, by model and method."""

    preset: str
    """Of one of the runs."""
    rows: tuple[str, ...]
    """Models in the paper's order, then others."""
    columns: tuple[str, ...]
    """Methods in the paper's order, then others, with what else sets runs of one name apart."""
    shown: tuple[Shown, ...]
    """The images every network looks at; empty where none is common, so each has its own."""
    looks: dict[Place, tuple[Look, ...]]
    """By row and column, one per image; lacks what was not trained."""
    seeds: tuple[int, ...]
    """The seeds whose networks are shown; one unless no seed is finished everywhere."""
    notes: tuple[str, ...]
    """Sentences on what a reader would not expect."""

    @property
    def count(self) -> int:
        """How many images every network looks at."""
        return min(map(len, self.looks.values()))


def look(
    runs: Sequence[Run],
    *,
    images: int,
    seed: int | None,
    epoch: Epoch,
    top: float,
    device: torch.device | str = "cpu",
    code: Sequence[Path] = (),
    reading: Reading | None = None,
) -> Gallery:
    """Let every network of one data set explain its decision on a few validation images.

    Args:
        runs: of one data set. Those without a finished seed are left out, and so are those with
            fewer masks wherever others are there to show.
        images: how many, classes in turn from the highest; images with masks where there are any.
        seed: of the networks; None takes the lowest that all runs have finished.
        epoch: which checkpoint, the last epoch's or the best's.
        top: share of the pixels that count as the highest, in (0, 1].
        device: where to compute.
        code: Python files that may run, as in `load_checkpoint`.
        reading: what was read for others, and is read for more; None where there are none.

    Raises:
        UsageError: no run has finished the seed, or `images` or `top` makes no sense.
        DataError: the data are missing, broken, or unlike what the networks were made for, or no
            network is left.
    """
    if images < 1 or not 0 < top <= 1:
        raise UsageError(
            "images must be at least 1 and top above 0 and at most 1", found=f"{images} and {top:g}"
        )
    wanted, notes = _chosen(runs, seed)
    reading = (reading or Reading()).still_true()
    program = common_basis(torch.device(device), __name__)
    chosen, valid, told = _validation(wanted, reading)
    notes += told
    common = _pick(valid[0], _common(chosen, valid), images)
    notes += [] if common else ["The runs share no validation image, so each cell shows its own."]
    looks: dict[Place, tuple[Look, ...]] = {}
    places = _places(chosen)
    for place, (run, own), samples in zip(places, chosen, valid, strict=True):
        names = common or _pick(samples, set(samples.names), images)
        path = seed_folder(run.folder, own) / CHECKPOINT_FILES[epoch]
        try:
            looks[place] = looks_at(
                path,
                samples.subset(_indices(samples, names)),
                top=top,
                device=device,
                code=code,
                common=program,
                reading=reading,
            )
        except CheckpointError as error:
            notes.append(f"{' '.join(place)} is missing: {error}.")
    if not looks:
        raise DataError(
            f"no network of {chosen[0][0].config.source.data} can be shown; {notes[-1].rstrip('.')}"
        )
    first = chosen[0][0].config
    return Gallery(
        preset=first.preset,
        rows=_ordered((row for row, _ in places), [one.label for one in MODELS.values() if one.label]),
        columns=_ordered((column for _, column in places), papers_methods()),
        shown=shown(valid[0].subset(_indices(valid[0], common)), first.view),
        looks=looks,
        seeds=tuple(sorted({own for _, own in chosen})),
        notes=(*notes, *_unlike([run.config.view for run, _ in chosen])),
    )


def _chosen(runs: Sequence[Run], seed: int | None) -> tuple[list[RunSeed], list[str]]:
    """Each run with the seed that stands for it, and sentences on what a reader would not expect."""
    finished = [run for run in runs if run.seeds and seed in {None, *run.seeds}]
    if not finished:
        raise UsageError(
            f"no run of {runs[0].config.source.data} has finished "
            f"{'a seed' if seed is None else f'seed {seed}'}; resume them, or choose another seed"
        )
    kept, note = without_repeats(with_all_masks(finished), lambda run: run)
    shared = set.intersection(*(set(run.seeds) for run in kept))
    lowest = min(shared, default=None) if seed is None else seed
    chosen = [(run, min(run.seeds) if lowest is None else lowest) for run in kept]
    apart = "" if lowest is not None else "No seed is finished in all runs, so each shows its lowest."
    return chosen, [words for words in (note.strip(), apart) if words]


def _validation(
    wanted: Sequence[RunSeed], reading: Reading
) -> tuple[list[RunSeed], list[Samples], list[str]]:
    """The runs whose data is there unchanged, their validation images as stored, and sentences on the rest.

    Runs with one split share one reading.

    Raises:
        DataError: there is no such run.
    """
    read: dict[tuple[object, ...], Samples | None] = {}
    chosen: list[RunSeed] = []
    valid: list[Samples] = []
    notes: list[str] = []
    for run, seed in wanted:
        trained = of_seed(run.folder, seed, run.config)
        key = _split_key(trained)
        if key not in read:
            try:
                stored, told = own_split(trained, "valid", reading)
                read[key] = with_lent_masks(
                    stored, trained.view, trained.objectives, seed=seed, split="valid"
                )
                notes += told
            except DataError as error:
                read[key] = None
                notes.append(f"{run.folder} is left out: {error}.")
        if (samples := read[key]) is not None:
            chosen.append((run, seed))
            valid.append(samples)
    if not chosen:
        raise DataError(f"no run of {wanted[0][0].config.source.data} can be shown; {notes[-1].rstrip('.')}")
    return chosen, valid, notes


def _split_key(trained: Trained) -> tuple[object, ...]:
    """What decides which images are read as a run's, and what masks they have."""
    settings = trained.source, trained.view, shown_always(trained.objectives)
    return trained.seed, trained.data_path, *sorted(trained.split_sha256.items()), *settings


def _common(chosen: Sequence[RunSeed], valid: Sequence[Samples]) -> set[str]:
    """The names of the images that all runs validate on."""
    sources = {_source(of_seed(run.folder, seed, run.config)) for run, seed in chosen}
    return set.intersection(*(set(samples.names) for samples in valid)) if len(sources) == 1 else set()


def _source(trained: Trained) -> object:
    """Within one source, a name means one image."""
    if trained.source.data == IN_MEMORY:
        return split_seed(trained.source, trained.seed)
    return trained.data_path or absolute(Path(trained.source.data))


def _pick(samples: Samples, allowed: set[str], number: int) -> tuple[str, ...]:
    """Names of allowed images, the classes in turn from the highest, masked ones where there are any."""
    rows = [i for i, name in enumerate(samples.names) if name in allowed]
    rows = [i for i in rows if samples.has_mask[i]] or rows
    labels = samples.labels.tolist()
    classes = sorted({labels[i] for i in rows}, reverse=True)
    turns = zip_longest(*([i for i in rows if labels[i] == label] for label in classes))
    return tuple(samples.names[i] for turn in turns for i in turn if i is not None)[:number]


def _indices(samples: Samples, names: Sequence[str]) -> list[int]:
    place = {name: i for i, name in enumerate(samples.names)}
    return [place[name] for name in names]


def _places(chosen: Sequence[RunSeed]) -> list[Place]:
    runs = [run for run, _ in chosen]
    return [(model_name(run.config), name) for run, name in zip(runs, series_names(runs), strict=True)]


def _ordered(names: Iterable[str], known: Sequence[str]) -> tuple[str, ...]:
    """Distinct names, known ones and what is said of them first."""
    ranks = {name: rank for rank, name in enumerate(known)}
    distinct = dict.fromkeys(names)
    return tuple(sorted(distinct, key=lambda name: ranks.get(re.split(r", | \(| in ", name)[0], len(ranks))))


def _unlike(views: Sequence[View]) -> list[str]:
    """What the runs do differently to the images, where the pictures could not show it."""
    if len({(view.mask, view.mask_blur, view.image_size) for view in views}) == 1:
        return []
    return [
        "The runs crop the images or dilate the masks differently: each outline is the run's own, "
        "the panels on the left are the first run's."
    ]

"""Every trained network of a report as one observation: where it looks, what it scores, how it learned."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from activmask.objectives.chosen import needs
from activmask.report.findings.measure import Measured
from activmask.report.findings.reliance import METRIC
from activmask.report.findings.series import family, grouped, papers_methods, series_names, without_repeats
from activmask.runs.description import all_settings, changed, flat
from activmask.runs.identity import test_images
from activmask.runs.names import data_name, method_name, method_settings, model_name
from activmask.runs.results import Run

Masks = Literal["none", "given", "random", "other", "poorer"]
"""Which masks a network's training looked at: none, those of the data, such at random places, those of other
images, or shifted, grown or shrunk ones."""

CONTROLS: dict[Masks, str] = {"random": "masks at random places", "other": "masks of other images"}
"""The masks that say as much and tell nothing, and what they are called."""

IID = "valid_iid"
"""What the scores of a second validation split, held out of training, stand under, where a run has one."""


@dataclass(frozen=True, kw_only=True)
class Network:
    """One seed of one run."""

    run: Run
    seed: int
    data: str
    """Its data set, and its kind of network where these are several on one data set."""
    method: str
    """For example `Actdiff`, whatever its weight and masks."""
    label: str
    """With what tells it from others of the method."""
    arm: str
    """All settings of its method; equal on other data sets."""
    twin: str
    """The same with the masks of the data; its own arm where it has these or none."""
    masks: Masks
    mass: float
    """Share of the attribution inside the mask, in [0, 1] (relevance mass accuracy)."""
    chance: float
    """What a random map has there."""
    holds: float | None
    """1 minus the mean change of the probability of an image's own class when all pixels outside its mask are
    shuffled, in [0, 1]; None without an audit."""
    known: float | None
    """AUC on images as those of training, see `Observed.known`; None where the network was fitted to them."""
    score: float
    """Test AUC, in [0, 1]."""

    @property
    def inside(self) -> float:
        """The share beyond chance: 0 of a random map, 1 where all lies inside, negative below chance."""
        return (self.mass - self.chance) / (1 - self.chance)


@dataclass(frozen=True, kw_only=True)
class Observed:
    """The networks of one report that can be compared."""

    networks: tuple[Network, ...]
    known: dict[str, str]
    """By data set, which AUC on images as those of training they have: that of validation, if that is told to
    be as training, else that of training."""
    left_out: tuple[str, ...]
    """Sentences on networks that cannot be compared."""

    @property
    def data(self) -> list[str]:
        """The data sets in their order."""
        return list(dict.fromkeys(one.data for one in self.networks))

    def of(self, data: str) -> list[Network]:
        """The networks of one data set."""
        return [one for one in self.networks if one.data == data]

    @property
    def arms(self) -> int:
        """How many ways to train there are."""
        return len({one.arm for one in self.networks})


def observed(measured: Sequence[Measured]) -> Observed:
    """The networks of runs that were tested on the same images, data set by data set.

    Args:
        measured: runs of any data sets, in the order in which they are to be told.
    """
    networks: list[Network] = []
    known: dict[str, str] = {}
    left_out: list[str] = []
    for data, group in grouped(measured, lambda one: data_name(one.run.config)).items():
        models = grouped(group, lambda one: model_name(one.run.config))
        for model, some in models.items():
            name = data if len(models) == 1 else f"{data}, {model}"
            kept, note = _comparable(some)
            which = _which_known(kept)
            found = _networks(name, kept, which)
            if note:
                left_out.append(f"{name}: {note}")
            left_out += [f"{name}: {said}" for said in _unknown(kept, which)]
            if found:
                known[name] = _KNOWN[which]
                networks += found
    return Observed(networks=tuple(networks), known=known, left_out=tuple(left_out))


_KNOWN = {IID: "validation AUC", "valid": "validation AUC", "train": "training AUC"}


def _comparable(measured: Sequence[Measured]) -> tuple[list[Measured], str]:
    chosen, note = without_repeats(measured, lambda one: one.run)
    tested = grouped(chosen, lambda one: repr(test_images(one.run.config)))
    kept = max(tested.values(), key=lambda group: sum(len(one.run.seeds) for one in group))
    others = [one.run for group in tested.values() if group is not kept for one in group]
    if others:
        note += f" Left out, as they were tested on other images: {'; '.join(series_names(others))}."
    kept, shorter = _as_long(kept)
    return kept, f"{note}{shorter}".strip()


def _as_long(measured: Sequence[Measured]) -> tuple[list[Measured], str]:
    """Those of the length that most have; a run that others begin with is no way to train of its own."""
    lengths = grouped(measured, lambda one: str(_epochs(one)))
    kept = max(
        lengths.values(), key=lambda group: (sum(len(one.run.seeds) for one in group), _epochs(group[0]))
    )
    others = [
        f"{method_name(one.run.config)} ({_epochs(one)} and not {_epochs(kept[0])})"
        for one in measured
        if _epochs(one) != _epochs(kept[0])
    ]
    return kept, f" Left out, as they were trained for other epochs: {'; '.join(others)}." if others else ""


def _epochs(one: Measured) -> int:
    return one.run.config.training.epochs


def _which_known(measured: Sequence[Measured]) -> str:
    """The split as which training is best known, the same for all."""
    scored = [scores for one in measured for scores in one.run.metrics.values()]
    if scored and all(IID in scores for scores in scored):
        return IID
    doses = [removal.dose for one in measured for removal in one.removals.values()]
    every = bool(doses) and len(doses) == sum(len(one.evaluations) for one in measured)
    alike = all(dose is not None and dose.valid_share == dose.share for dose in doses)
    return "valid" if every and alike else "train"


def _networks(data: str, measured: Sequence[Measured], which: str) -> list[Network]:
    labels = series_names([one.run for one in measured])
    found = []
    for one, label in zip(measured, labels, strict=True):
        arm, twin = _arm(one.run), _arm(one.run, train_masks="given")
        for seed, evaluation in one.evaluations.items():
            score = evaluation.scores.auc
            row = next((row for row in evaluation.localisation.rows if row.metric == METRIC), None)
            if score is None or row is None or row.chance >= 1:
                continue
            moved = one.moved(seed)
            found.append(
                Network(
                    run=one.run,
                    seed=seed,
                    data=data,
                    method=_method(one.run),
                    label=label,
                    arm=arm,
                    twin=twin,
                    masks=_masks(one.run),
                    mass=row.mean,
                    chance=row.chance,
                    holds=None if moved is None else 1 - moved,
                    known=None
                    if _fitted_to(one.run, which)
                    else one.run.metrics[seed].get(which, {}).get("auc"),
                    score=score,
                )
            )
    return found


def _unknown(measured: Sequence[Measured], which: str) -> list[str]:
    """A sentence on the networks of which nothing is known without the shift."""
    fitted = series_names([one.run for one in measured if _fitted_to(one.run, which)])
    told = "No part in correlations and model, as their last layers were fitted to the validation images"
    return [f"{told}: {'; '.join(fitted)}."] if fitted else []


def _fitted_to(run: Run, which: str) -> bool:
    """Whether a run learned from the images of a split besides those of training."""
    return which == "valid" and bool(run.config.robustness.retrain_head)


def _arm(run: Run, **settings: object) -> str:
    values = flat(changed(run.config, **settings))
    return json.dumps([_told(name, values[name]) for name in method_settings()])


def _told(name: str, value: object) -> object:
    """A setting as names have it: of another data set a first run lies elsewhere, and is the same method."""
    known = all_settings()[name]
    return known.in_name(value) if known.in_name and value != known.default else value


def _method(run: Run) -> str:
    """The family; what has no objective is told by all that it has."""
    plain = papers_methods()[0]
    return family(run) if family(run) != plain else method_name(run.config)


def _masks(run: Run) -> Masks:
    if not needs(run.config.objectives).masks:
        return "none"
    view = run.config.view
    if view.train_masks != "given":
        return view.train_masks
    return "poorer" if view.mask_shift or view.mask_grow else "given"

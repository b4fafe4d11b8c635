"""What tables say of runs whose masks are not what one would think."""

from collections.abc import Iterator, Sequence
from statistics import fmean

from activmask.data.mask_shares import Presence
from activmask.data.sources.presets import source_of
from activmask.objectives.chosen import needs
from activmask.runs.folder import read_presence, seed_folder
from activmask.runs.results import Run


def mask_notes(runs: Sequence[Run], titles: Sequence[str]) -> Iterator[str]:
    """Sentences on runs where a mask's presence tells the class, and on masks of earlier versions.

    Args:
        runs: any; those that look at no mask in training, or at circles, are passed over.
        titles: what each run is called.

    Raises:
        CheckpointError: a seed's description is damaged.
    """
    named = zip(runs, titles, strict=True)
    looking = [
        (run, title)
        for run, title in named
        if needs(run.config.objectives).masks and run.config.view.mask == "file"
    ]
    telling: list[str] = []
    old: list[str] = []
    for run, title in looking:
        presences = _presences(run)
        known = [one for one in presences if one is not None]
        if any(one.tells for one in known):
            telling.append(f"{title} {fmean(one.auc for one in known):.2f}")
        if len(known) < len(presences) and source_of(run.config.preset)[1].native_slices:
            old.append(title)
    if telling:
        yield (
            "Whether an image has a mask tells its class in training, and images without one stay whole "
            "there, so these scores may be due to that (AUC of the mask's presence alone, 0.50 by chance): "
            f"{', '.join(telling)}; masks_without borrowed is the control."
        )
    if old:
        yield (
            "Trained by an earlier version, which dilated the masks of volumes by px of the stored image, "
            f"more than the paper's, and recorded nothing of them: {', '.join(old)}; train them anew."
        )


def _presences(run: Run) -> list[Presence | None]:
    return [read_presence(seed_folder(run.folder, seed)) for seed in run.seeds]

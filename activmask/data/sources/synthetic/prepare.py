"""The synthetic benchmark as a data set on disk."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from activmask.data.settings import View
from activmask.data.sources.synthetic.drawing import CLASS_NAMES, SyntheticSplit, draw_synthetic
from activmask.data.sources.synthetic.preview import synthetic_preview
from activmask.data.sources.synthetic.spec import SyntheticSpec
from activmask.data.writer import Record, Summary, write_dataset
from activmask.ground.progress import ItemsDone


def make_synthetic(
    spec: SyntheticSpec,
    out: str | Path,
    *,
    overwrite: bool = False,
    progress: ItemsDone | None = None,
) -> tuple[Summary, dict[str, int]]:
    """Draw the benchmark and write it whole or not at all; the same spec gives the same bytes.

    Args:
        spec: what to draw.
        out: the folder to make.
        overwrite: replace a data set that is already there.
        progress: called with images written and images to write.

    Returns:
        What was written, and the number of different arrangements of crosses in each split.

    Raises:
        UsageError: an impossible spec.
        DataError: `out` cannot be written.
    """
    out = Path(out)
    splits = draw_synthetic(spec)
    distinct = {name: split.distinct for name, split in splits.items()}
    card = {
        "name": "synthetic crosses",
        "source": "synthetic",
        "made_by": "activmask make-synthetic",
        "spec": {name: value for name, value in asdict(spec).items() if value is not None},
        "classes": {str(number): name for number, name in enumerate(CLASS_NAMES)},
        "distinct_arrangements": distinct,
        "licence": "generated; no rights reserved",
    }
    summary = write_dataset(
        out,
        _records(splits, progress),
        card=card,
        overwrite=overwrite,
        preview=synthetic_preview(splits),
        mask_blur=View().mask_blur,
    )
    return summary, distinct


def _records(splits: dict[str, SyntheticSplit], progress: ItemsDone | None) -> Iterator[Record]:
    total = sum(len(split.labels) for split in splits.values())
    written = 0
    for name, split in splits.items():
        for index in range(len(split.labels)):
            identity = f"{name}-{index:06d}"
            yield Record(
                name=identity,
                image=split.images[index],
                mask=split.masks[index],
                label=int(split.labels[index]),
                subject=identity,
                site="",
                split=name,
            )
            written += 1
            if progress and (written % 500 == 0 or written == total):
                progress(written, total)

"""One data set planted at several shares: a set for every share, judged on the same test images."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from activmask.data.planting.limits import SHARES, UNTOLD
from activmask.data.planting.plant import Planted, plant
from activmask.data.planting.planting import Planting
from activmask.data.writer import check_target
from activmask.ground.errors import UsageError
from activmask.ground.progress import ItemsDone


def plant_at_shares(
    data: Path,
    out: Path,
    planting: Planting,
    shares: Sequence[float],
    *,
    overwrite: bool = False,
    progress: ItemsDone | None = None,
) -> Iterator[tuple[float, Path, Planted]]:
    """Write a data set for every share into the folder `out/SHARE`; the sets' places are seen to first.

    Args:
        data: A data set's folder.
        out: The folder of the folders to make.
        planting: What to plant, and where; its own share counts for nothing. A validation share that is
            None is the training share, so that the best epoch is one that reads what training tells; a test
            share that is None is `UNTOLD`, the same in every set.
        shares: Of the class's training images, each in [0, 1] and named once.
        overwrite: Replace data sets that lie there.
        progress: Called for each set with images written and images to write.

    Yields:
        Each share, where its set lies, and what was planted, as soon as it is written.

    Raises:
        DataError: as `plant` has it.
        UsageError: likewise; or a share named twice, or fewer than two shares.
    """
    if len(shares) < 2 or len(set(shares)) < len(shares):
        told = ", ".join(f"{share:g}" for share in shares)
        raise UsageError("shares must be two or more, each named once", found=told or "none")
    for share in shares:
        SHARES.check("share", share)
    places = {share: out / folder_of(share) for share in shares}
    for place in places.values():
        check_target(place, overwrite)
    for share, place in places.items():
        asked = replace(
            planting,
            share=share,
            valid_share=share if planting.valid_share is None else planting.valid_share,
            test_share=UNTOLD if planting.test_share is None else planting.test_share,
        )
        yield share, place, plant(data, place, asked, overwrite=overwrite, progress=progress)


def folder_of(share: float) -> str:
    """What the folder of a share is called, for example `0.9`."""
    return repr(float(share))

"""The pictures of every condition as files, for any system to predict, and what scoring them needs.

Shapes: N images of a data set, n of which take part.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from activmask.auditing.conditions.conditions import DRAWS, Judged, taking_part, those_of
from activmask.auditing.conditions.variants import (
    CARD,
    COLUMNS,
    FORMAT_VERSION,
    MANIFEST,
    MASKS,
    check_target,
    folder_of,
)
from activmask.auditing.conditions.versions import batches, stored_grid, versions
from activmask.data.dataset import Dataset, load_samples, read_dataset
from activmask.data.file_names import safe_name
from activmask.data.files.images import to_stored
from activmask.data.files.png import encode_binary_png, encode_png
from activmask.data.files.tables import format_table
from activmask.data.recipe import called_classes
from activmask.data.samples import Samples, as_picture
from activmask.data.settings import View
from activmask.data.view import with_dilated_masks
from activmask.evaluation.map_targets import SplitChoice, of_split, targets_of
from activmask.evaluation.participants import Participants, why_no_audit
from activmask.ground.errors import PATH, DataError, UsageError
from activmask.ground.files import write_json
from activmask.ground.folders import claimed_folder, written_whole
from activmask.ground.places import real
from activmask.ground.progress import ItemsDone


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was written."""

    root: Path
    files: int
    """Pictures, of all conditions."""
    images: int
    """Those who take part, n."""
    left_out: int
    """Images of the split whose mask is missing, empty or full."""
    borrowed: int
    """Those among the n that borrowed a mask."""
    split: SplitChoice
    bit_depth: int
    """Of the pictures."""
    rounded: bool
    """Whether the images are floats that no 16 bits hold, and were rounded."""


def export(
    data: Path,
    out: Path,
    *,
    split: SplitChoice | None = None,
    mask_blur: float = 0.0,
    draws: int = DRAWS,
    seed: int = 0,
    overwrite: bool = False,
    done: ItemsDone | None = None,
) -> Exported:
    """Write every condition of a data set's images, with a manifest that names each picture.

    Pictures are PNG files without any text, in colour where the data set is: of 8 bits where all images fit
    into them, else of 16.

    Args:
        data: the data set's folder.
        out: the folder to make; nothing of it exists until all of it does.
        split: whose images; by default test, or all where the data set names no splits.
        mask_blur: sigma in native px by which masks grow, as in training.
        draws: of each condition that is random.
        seed: of the shuffles and of who borrows whose mask.
        overwrite: replace an export that lies at `out`.
        done: told of pictures written, of how many.

    Raises:
        UsageError: an unknown split, or places that lie in one another.
        DataError: the data set is broken, its images cannot be audited, or `out` cannot be written.
    """
    _check_apart(data, out)
    place, root = out, real(out)
    with claimed_folder(place, "export", lambda: check_target(place, overwrite=overwrite)):
        dataset = read_dataset(data)
        rows, chosen = _rows(dataset, split)
        samples = with_dilated_masks(load_samples(dataset, rows), replace(View(), mask_blur=mask_blur))
        part = taking_part(samples, seed)
        names = called_classes(dataset)
        if reason := why_no_audit(samples, part, len(names)):
            raise DataError(f"the images of {PATH} cannot be audited: {reason}", path=data)
        those = those_of(samples, part, draws=draws, seed=seed)
        grid = stored_grid(samples.images)
        bits = grid or 16
        with written_whole(root, "export") as partial:
            files = _write_pictures(partial, samples, part, those, bits, done)
            splits = [dataset.splits[row] for row in rows]
            table = _manifest(samples, part, splits, draws)
            (partial / MANIFEST).write_bytes(format_table(COLUMNS, table))
            told = {"split": chosen, "mask_blur": mask_blur, "bit_depth": bits, "classes": list(names)}
            write_json(partial / CARD, {"format": FORMAT_VERSION, **told, **_told(those)})
    return Exported(
        root=out,
        files=files,
        images=len(part),
        left_out=len(samples) - len(part),
        borrowed=part.borrowed,
        split=chosen,
        bit_depth=bits,
        rounded=grid is None,
    )


def _check_apart(data: Path, out: Path) -> None:
    one, other = real(data), real(out)
    if one.is_relative_to(other) or other.is_relative_to(one):
        raise UsageError(
            f"{PATH} and {out} lie in one another; the data set stays as it is",
            path=data,
            advice="choose another place",
        )


def _rows(dataset: Dataset, split: SplitChoice | None) -> tuple[list[int], SplitChoice]:
    chosen, name = of_split(targets_of(dataset), split)
    own = {one.name for one in chosen}
    return [row for row, file in enumerate(dataset.file_names) if file in own], name


def _file_names(samples: Samples, part: Participants) -> list[str]:
    """A plain name for the picture of each who takes part, the same in every folder."""
    taken: set[str] = set()
    return [f"{safe_name(_inner(samples.names[row]), taken)}.png" for row in part.rows.tolist()]


def _inner(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    return path.relative_to("images") if path.parts[0] == "images" and len(path.parts) > 1 else path


def _write_pictures(
    folder: Path, samples: Samples, part: Participants, those: Judged, bits: int, done: ItemsDone | None
) -> int:
    names = _file_names(samples, part)
    (folder / MASKS).mkdir()
    for name, mask in zip(names, those.masks, strict=True):
        (folder / MASKS / name).write_bytes(encode_binary_png(mask[0].numpy()))
    everything = list(versions(samples, part, draws=those.draws, seed=those.seed))
    written = 0
    for version in everything:
        own = folder / folder_of(version.condition, version.draw)
        own.mkdir()
        for places in batches(part, samples):
            for place, image in zip(places.tolist(), version.images(places), strict=True):
                pixels = to_stored(as_picture(image), bits)
                (own / names[place]).write_bytes(encode_png(np.ascontiguousarray(pixels)))
            written += len(places)
            if done is not None:
                done(written, len(everything) * len(part))
    return written


def _manifest(
    samples: Samples, part: Participants, splits: Sequence[str], draws: int
) -> Iterator[list[object]]:
    names = _file_names(samples, part)
    own = part.rows == part.masks
    for version in versions(samples, part, draws=draws, seed=0):
        folder = folder_of(version.condition, version.draw)
        for place, row in enumerate(part.rows.tolist()):
            yield [
                f"{folder}/{names[place]}",
                version.condition.name,
                version.draw + 1,
                samples.names[row],
                samples.subjects[row],
                samples.sites[row],
                splits[row],
                int(samples.labels[row]),
                f"{MASKS}/{names[place]}",
                "" if own[place] else "yes",
            ]


def _told(those: Judged) -> dict[str, object]:
    return {
        "draws": those.draws,
        "seed": those.seed,
        "blur_px": those.blur_px,
        "blank_background": those.blank_background,
        "borrowed": those.borrowed,
        "mask_counts": [vars(one) for one in those.mask_counts],
    }

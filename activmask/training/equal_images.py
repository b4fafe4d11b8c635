"""Equal pixels among the images that a run trains and is judged on."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from activmask.config import IN_MEMORY, RunConfig
from activmask.data.duplicates import Duplicates, Picture, equal_groups, pixel_digest, refuse_straddling
from activmask.data.images import read_grey
from activmask.data.samples import Samples
from activmask.errors import DataError
from activmask.training.stream import Stream


def equal_images(config: RunConfig, stored: Mapping[str, Samples] | Stream) -> str:
    """Which pictures several subjects share, as a sentence; empty where there is none.

    Images in memory are compared by their pixels, streamed ones by the bytes of their files, which
    are equal for equal pixels if one program wrote them. Those of one value alone do not count.

    Raises:
        DataError: equal pixels lie in two splits and `duplicates` is "refuse", or a file is gone.
    """
    if config.data == IN_MEMORY:
        return ""
    if isinstance(stored, Stream):
        found = Duplicates(equal=_without_constants(stored, equal_groups(_streamed(stored))))
    else:
        found = Duplicates(equal=equal_groups(_resident(stored)))
    if config.duplicates == "refuse":
        refuse_straddling(found, "set duplicates to allow")
    return "; ".join(found.sentences())


def _resident(splits: Mapping[str, Samples]) -> Iterator[Picture]:
    for split, samples in splits.items():
        named = zip(samples.names, samples.subjects, samples.images.numpy(), strict=True)
        for name, subject, pixels in named:
            yield Picture(name=name, subject=subject, split=split, digest=pixel_digest(pixels))


def _streamed(stream: Stream) -> Iterator[Picture]:
    for split, samples in stream.splits.items():
        table = samples.images.workers.reader.train_table
        for row in samples.images.rows.tolist():
            name, subject = table.file_names[row], table.subjects[row]
            yield Picture(name=name, subject=subject, split=split, digest=_file_digest(table.root / name))


def _file_digest(path: Path) -> bytes:
    try:
        return hashlib.blake2b(path.read_bytes(), digest_size=16).digest()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); restore it") from error


def _without_constants(
    stream: Stream, groups: tuple[tuple[Picture, ...], ...]
) -> tuple[tuple[Picture, ...], ...]:
    root = stream.train.images.workers.reader.train_table.root
    return tuple(group for group in groups if pixel_digest(read_grey(root / group[0].name)))

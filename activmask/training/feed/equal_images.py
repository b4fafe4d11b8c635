"""Equal pictures, and those that look alike, among the images that a run trains and is judged on."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from activmask.data.dataset import CARD_FILE, read_card
from activmask.data.duplicates import Duplicates, Picture, equal_groups, pixel_digest, refuse_straddling
from activmask.data.files.images import read_stored
from activmask.data.samples import Samples
from activmask.data.settings import ARRAYS, IN_MEMORY, Source
from activmask.ground.errors import DataError
from activmask.runs.manifest import Entry
from activmask.training.feed.stream import Stream


def equal_images(
    source: Source,
    stored: Mapping[str, Samples] | Stream,
    entries: Iterable[Entry],
    known: dict[str, bytes] | None = None,
) -> str:
    """Which pictures several subjects share, as a sentence; empty where there is none.

    Images in memory are compared by their pixels, streamed ones by the bytes of their files, which
    are equal for equal pixels if one program wrote them. Those of one value alone do not count.

    Args:
        source: of the run's images.
        stored: the images.
        entries: what is known of them; the digests of a stream's files stand there.
        known: `pixel_digest` of a data set's images by name, to be shared between calls; it grows.

    Raises:
        DataError: equal pixels lie in two splits and `duplicates` is "refuse".
    """
    if source.data == IN_MEMORY:
        return ""
    if isinstance(stored, Stream):
        found = Duplicates(equal=_without_constants(stored, equal_groups(map(_picture, entries))))
    else:
        found = Duplicates(equal=equal_groups(_resident(stored, {} if known is None else known)))
    if source.duplicates == "refuse":
        refuse_straddling(found, "set duplicates to allow")
    return "; ".join(found.sentences())


def near_images(source: Source, entries: Iterable[Entry]) -> str:
    """Which pictures that look alike lie in two splits, as a sentence; empty where there is none.

    The pairs are those that the data set's card names, which preparing it searched for.

    Raises:
        DataError: the card is no JSON object, or names pairs that are none.
    """
    if source.data in {IN_MEMORY, ARRAYS}:
        return ""
    found = read_card(Path(source.data)).get("duplicates", {})
    try:
        names = [(one.casefold(), other.casefold()) for one, other in found["near"]]
    except (AttributeError, TypeError, ValueError) as error:
        raise DataError(
            "duplicates must name pairs of images under near",
            path=f"{source.data}/{CARD_FILE}",
            advice="prepare the data anew",
        ) from error
    except KeyError:
        return ""
    if not names:
        return ""
    # Words such as "train" are capitalised in the names of files.
    places = {Path(entry.file).stem.casefold(): entry for entry in entries}
    pairs = [(places.get(one), places.get(other)) for one, other in names]
    apart = [(one, other) for one, other in pairs if one and other and one.split != other.split]
    near = tuple((_picture(one), _picture(other)) for one, other in apart)
    return "; ".join(Duplicates(equal=(), near=near).sentences())


def _picture(entry: Entry) -> Picture:
    return Picture(
        name=entry.file, subject=entry.subject, split=entry.split, digest=bytes.fromhex(entry.image_sha256)
    )


def _resident(splits: Mapping[str, Samples], known: dict[str, bytes]) -> Iterator[Picture]:
    for split, samples in splits.items():
        named = zip(samples.names, samples.subjects, samples.images.numpy(), strict=True)
        for name, subject, pixels in named:
            if name not in known:
                known[name] = pixel_digest(pixels)
            yield Picture(name=name, subject=subject, split=split, digest=known[name])


def _without_constants(
    stream: Stream, groups: tuple[tuple[Picture, ...], ...]
) -> tuple[tuple[Picture, ...], ...]:
    table = stream.train.images.workers.reader.train_table
    return tuple(
        group
        for group in groups
        if pixel_digest(read_stored(table.root / group[0].name, channels=table.channels))
    )

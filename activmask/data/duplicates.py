"""One picture under several names: equal pixels, and nearly equal ones by a perceptual hash.

A picture that lies in training under one subject and in test under another is remembered, not
recognised. Images of one value alone are no pictures and are counted apart.

Shapes: N images, H x W pixels.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from activmask.data.files.images import channels_first
from activmask.data.near_images import Looks, looks, near_pairs
from activmask.ground.errors import DataError

if TYPE_CHECKING:
    from activmask.data.writer import Record

_NAMED = 3
_IN_CARD = 100


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One image, by what identifies its pixels."""

    name: str
    subject: str
    split: str
    """train, valid, test, or empty."""
    digest: bytes
    """Of its pixels; empty for an image of one value."""


@dataclass(frozen=True, kw_only=True)
class Duplicates:
    """Pictures that occur under more than one subject."""

    equal: tuple[tuple[Picture, ...], ...]
    """Groups of equal pixels."""
    near: tuple[tuple[Picture, Picture], ...] = ()
    """Pairs that look alike and are not equal."""
    constant: tuple[str, ...] = ()
    """Images of one value, which whoever prepares data names among what their values give away."""

    def straddling(self) -> tuple[tuple[Picture, ...], ...]:
        """The groups of equal pixels that lie in more than one split."""
        return tuple(group for group in self.equal if len({picture.split for picture in group}) > 1)

    def card(self) -> dict[str, Any]:
        """What a data set's card says of it."""
        return {
            "equal_across_subjects": len(self.equal),
            "equal_across_splits": len(self.straddling()),
            "equal": [[picture.name for picture in group] for group in self.equal[:_IN_CARD]],
            "near_across_subjects": len(self.near),
            "near_across_splits": sum(one.split != other.split for one, other in self.near),
            "near": [[one.name, other.name] for one, other in self.near[:_IN_CARD]],
            "constant_images": len(self.constant),
            "constant": list(self.constant[:_IN_CARD]),
        }

    def sentences(self) -> list[str]:
        """What was found, for people; empty if nothing was."""
        found = []
        if self.equal:
            found.append(
                f"{_count(self.equal)} of equal pixels under different subjects: {_named(self.equal)}"
            )
        if self.near:
            across = sum(one.split != other.split for one, other in self.near)
            where = f", {across} of them in two splits" if across else ""
            pairs = "1 pair" if len(self.near) == 1 else f"{len(self.near)} pairs"
            found.append(
                f"{pairs} of images under different subjects that look alike{where}: {_named(self.near)}"
            )
        return found


def pixel_digest(pixels: np.ndarray) -> bytes:
    """16 bytes that equal pixels alone share; none for an image (..., H, W) all of whose pixels are alike."""
    if (pixels == pixels[..., :1, :1]).all():
        return b""
    digest = hashlib.blake2b(f"{pixels.shape} {pixels.dtype}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.digest()


@dataclass
class DuplicateFinder:
    """Looks at images one after the other, in little memory: half a kilobyte per image."""

    pictures: list[Picture] = field(default_factory=list)
    seen: list[Looks] = field(default_factory=list)
    result: Duplicates = Duplicates(equal=())
    """What occurred under more than one subject, once `finish` was called."""

    def add(self, name: str, subject: str, split: str, pixels: np.ndarray) -> None:
        """Look at an image as stored, (H, W), or (C, H, W), of which the mean of channels is compared."""
        digest = pixel_digest(pixels)
        self.pictures.append(Picture(name=name, subject=subject, split=split, digest=digest))
        if digest:
            self.seen.append(looks(pixels if pixels.ndim == 2 else pixels.mean(axis=0)))

    def finish(self) -> Duplicates:
        """Compare what was looked at."""
        real = [picture for picture in self.pictures if picture.digest]
        _, subjects = np.unique([picture.subject for picture in real], return_inverse=True)
        _, digests = np.unique([picture.digest.hex() for picture in real], return_inverse=True)
        pairs = near_pairs(self.seen, subjects, digests) if real else []
        self.result = Duplicates(
            equal=equal_groups(real),
            near=tuple((real[i], real[j]) for i, j in pairs),
            constant=tuple(picture.name for picture in self.pictures if not picture.digest),
        )
        return self.result


def equal_groups(pictures: Iterable[Picture]) -> tuple[tuple[Picture, ...], ...]:
    """Groups of equal digests that more than one subject has; images of one value are left out."""
    groups: dict[bytes, list[Picture]] = {}
    for picture in pictures:
        if picture.digest:
            groups.setdefault(picture.digest, []).append(picture)
    return tuple(tuple(group) for group in groups.values() if len({picture.subject for picture in group}) > 1)


def refuse_straddling(found: Duplicates, consent: str) -> None:
    """Refuse equal pixels in two splits; `consent` says how to ask for them all the same.

    Raises:
        DataError: names them.
    """
    groups = found.straddling()
    if groups:
        raise DataError(
            f"{_count(groups)} of equal pixels lie in two splits: {_named(groups)}; leave all but one of "
            f"each out, give them one subject and one split, or {consent}"
        )


def watched(
    records: Iterable["Record"], card: dict[str, Any], finder: DuplicateFinder, *, allow: bool = True
) -> Iterator["Record"]:
    """The same records; after the last, what was found stands in the card as `duplicates`.

    Raises:
        DataError: equal pixels in two splits, unless allowed.
    """
    for record in records:
        image = record.image if record.image.ndim == 2 else channels_first(record.image)
        finder.add(record.name, record.subject, record.split, image)
        yield record
    found = finder.finish()
    if not allow:
        refuse_straddling(found, "ask for allow_duplicates")
    card["duplicates"] = found.card()


def _count(groups: Sequence[object]) -> str:
    return "1 group of images" if len(groups) == 1 else f"{len(groups)} groups of images"


def _named(groups: Sequence[Sequence[Picture]]) -> str:
    shown = [" = ".join(map(_described, group[:_NAMED])) for group in groups[:_NAMED]]
    return "; ".join(shown) + ("; ..." if len(groups) > _NAMED else "")


def _described(picture: Picture) -> str:
    return f"{picture.name} ({picture.split})" if picture.split else picture.name

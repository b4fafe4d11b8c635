"""Unpack a task of the Medical Segmentation Decathlon from the .tar file as downloaded."""

import os
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from activmask.ground.errors import PATH, DataError
from activmask.ground.folders import hidden_beside
from activmask.ground.interrupts import put_off
from activmask.ground.places import real

MAX_BYTES = 200 * 10**9
"""The largest task has a tenth of it."""

MOST_MEMBERS = 100_000
"""The task of most files has 1,450."""

MOST_FOLDERS = 16
"""Above a member; those of a task lie in two. Few bytes make thousands, which few programs remove."""

MOST_BYTES_OF_A_NAME = 255
"""What file systems take, folder by folder."""

_SUFFIXES = (".tar", ".tar.gz", ".tgz")
_UNUSED = "imagesTs"


def is_archive(source: Path) -> bool:
    """Whether a path names a file to unpack."""
    return source.name.lower().endswith(_SUFFIXES) and not source.is_dir()


@contextmanager
def unpacked(archive: Path, beside: Path) -> Iterator[Path]:
    """A folder next to `beside` with the archive's content, gone afterwards.

    The test images, which have no labels, and the files that macOS adds stay packed.

    Raises:
        DataError: the archive is broken, holds what could reach outside, or needs too much space.
    """
    target = hidden_beside(real(beside), "unpacked")
    try:
        try:
            target.mkdir(parents=True)
            _unpack(archive, target)
        # A ValueError, also of numbers and encodings, is how the library answers headers that make no sense.
        except (tarfile.TarError, EOFError, zlib.error, ValueError, RecursionError, MemoryError) as error:
            raise DataError(
                f"{PATH} is not a whole .tar file", path=archive, advice="download it again"
            ) from error
        except OSError as error:
            why = error.strerror or "its compression is broken"
            raise DataError(
                f"{PATH} cannot be unpacked into {target.parent} ({why})",
                path=archive,
                advice="free the disk, choose another place or download it again",
            ) from error
        yield target
    finally:
        with put_off():
            shutil.rmtree(target, ignore_errors=True)


def _unpack(archive: Path, target: Path) -> None:
    if not archive.is_file():
        raise DataError(f"{PATH} does not exist; expected a .tar file of the Decathlon", path=archive)
    total = 0
    with tarfile.open(archive) as tar:
        for count, member in enumerate(tar):
            if count >= MOST_MEMBERS:
                raise DataError(
                    f"{PATH} holds more than {MOST_MEMBERS:,} files; it is no task of the Decathlon",
                    path=archive,
                )
            _check_member(archive, member)
            total += member.size
            if total > MAX_BYTES:
                raise DataError(
                    f"{PATH} unpacks to more than {MAX_BYTES:,} bytes; it is no task of the Decathlon",
                    path=archive,
                )
            if not _is_wanted(member.name):
                continue
            free = shutil.disk_usage(target).free
            if member.size > free:
                raise DataError(
                    f"{PATH} needs {member.size:,} more bytes beside the data set but {free:,} are free",
                    path=archive,
                    advice="free the disk or choose another place",
                )
            tar.extract(member, target, set_attrs=False, filter="data")


def _is_wanted(name: str) -> bool:
    return not any(part.startswith(".") or part == _UNUSED for part in PurePosixPath(name).parts)


def _check_member(archive: Path, member: tarfile.TarInfo) -> None:
    path = PurePosixPath(member.name)
    if not (member.isfile() or member.isdir()):
        raise DataError(
            f"{PATH} holds the link or device {member.name[:200]!r}",
            path=archive,
            expected="files and folders",
            advice="download it again",
        )
    if len(path.parts) > MOST_FOLDERS + 1:
        raise DataError(
            f"{PATH} holds {member.name[:50]!r}... in {len(path.parts) - 1:,} folders",
            path=archive,
            expected=f"at most {MOST_FOLDERS}",
            advice="download it again",
        )
    longest = max((len(os.fsencode(part)) for part in path.parts), default=0)
    if longest > MOST_BYTES_OF_A_NAME:
        raise DataError(
            f"{PATH} holds the name {member.name[:50]!r}... of {longest:,} bytes",
            path=archive,
            expected=f"at most {MOST_BYTES_OF_A_NAME}",
            advice="download it again",
        )
    if path.is_absolute() or ".." in path.parts or "\\" in member.name:
        raise DataError(
            f"{PATH} holds {member.name[:200]!r}, which leads outside its folder",
            path=archive,
            advice="download it again",
        )

"""The failures a user can cause, as one small family.

Each message is one sentence that names the file, row or field, what was expected, what was
found, and what to do. The exit code of a command follows from the class.
"""

from collections.abc import Iterable
from copy import copy
from pathlib import Path
from typing import Self, TypeVar

from activmask.ground.shown import shown

PATH = "\0"
"""Stands for an error's path in its sentence; no file name can hold it, whatever else a sentence quotes."""


Kind = TypeVar("Kind", bound="ActivmaskError")


class ActivmaskError(Exception):
    """Anything a user can mend; never raised for a defect of this program.

    An error keeps what it is about beside what happened, and its sentence is made of both when it is
    shown: `DataError("label must be a class number", path=table, row=3, found="'x'")` reads
    `TABLE, row 3: label must be a class number; found 'x'`. It survives the way to another process.
    """

    def __init__(
        self,
        what: str = "",
        *,
        path: Path | str | None = None,
        row: int | None = None,
        expected: object = None,
        found: object = None,
        advice: str | None = None,
        ways: Iterable[str] = (),
    ) -> None:
        """Keep the sentence's parts.

        Args:
            what: what is wrong; `PATH` in it stands for `path`, which is named first elsewhere.
            path: the file or folder.
            row: of a table, as a spreadsheet counts.
            expected: what should have been there.
            found: what was there instead.
            advice: what to do about it.
            ways: the names of arguments that do it, such as `overwrite`, so that a program can put the
                advice in words of its own.
        """
        super().__init__(what)
        self.what, self.path, self.row = what, path, row
        self.expected, self.found, self.advice = expected, found, advice
        self.ways = tuple(ways)

    def __str__(self) -> str:
        """The sentence, one line of characters that are seen, whatever the names in it hold."""
        sentence = self._place() + self._what()
        if self.expected is not None:
            joint = "" if not self.what else ", " if self.found is None else "; "
            sentence += f"{joint}expected {self.expected}"
        if self.found is not None:
            sentence += f"{'; ' if self.expected is None else ', '}found {self.found}"
        return shown(sentence if self.advice is None else f"{sentence}; {self.advice}")

    def _place(self) -> str:
        if self.path is None or PATH in self.what:
            return ""
        return f"{self.path}: " if self.row is None else f"{self.path}, row {self.row}: "

    def _what(self) -> str:
        return self.what if self.path is None else self.what.replace(PATH, str(self.path))

    def called(self, what: str) -> Self:
        """The same failure, its path with a word for what lies there, such as `the mask`."""
        if f"{what} {PATH}" in self.what:
            return self
        named = copy(self)
        known = PATH in self.what
        named.what = self.what.replace(PATH, f"{what} {PATH}", 1) if known else f"{what} {PATH}: {self.what}"
        return named

    def retold(self, kind: type[Kind], before: str = "", *, path: Path | str, row: int | None = None) -> Kind:
        """The same failure as one of the file that led to it; what was expected, found and advised stays.

        Args:
            kind: the class of the failure, as its exit code is to be.
            before: what its sentence begins with.
            path: the file that is named, where the failure names one of its own in its sentence.
            row: of that file.
        """
        return kind(
            f"{before}{self._place()}{self._what()}",
            path=path,
            row=row,
            expected=self.expected,
            found=self.found,
            advice=self.advice,
            ways=self.ways,
        )

    def told_from(self, folders: Iterable[Path | None], instead: Path | None = None) -> Self:
        """The same failure, its path as seen from the folder that it lies in.

        Args:
            folders: where it may lie; None is no folder.
            instead: the folder's other name, to be put before the path.
        """
        for folder in folders:
            if self.path is not None and folder is not None and Path(self.path).is_relative_to(folder):
                inner = Path(self.path).relative_to(folder)
                seen = copy(self)
                seen.path = inner if instead is None else instead / inner
                return seen
        return self


class UsageError(ActivmaskError):
    """The request itself makes no sense: unknown names, settings that contradict each other."""


class DataError(ActivmaskError):
    """A data set or an image is missing, broken or not what the request needs."""


class ConfigError(ActivmaskError):
    """A configuration file or a run's description is broken."""


class CheckpointError(ActivmaskError):
    """A checkpoint or a run folder is missing, broken or does not fit the request."""


class PeerLost(ActivmaskError):
    """Another process of the same training ended; the last good state is on disk."""


class TrainingDiverged(ActivmaskError):
    """A loss became NaN or infinite; the last good state is on disk."""

"""CSV files that a command writes beside what it prints."""

from pathlib import Path


def check_table_place(path: Path, flag: str, data: Path | None = None) -> None:
    """Refuse a file that no table may be written to, before anything is computed.

    Args:
        path: of the table.
        flag: that names it.
        data: a data set whose own table stays as it is.

    Raises:
        UsageError: it is a folder, lies in none, is no .csv or the data set's own.
        DataError: the file system refuses.
    """
    from activmask.data.dataset import TABLE_FILE
    from activmask.ground.errors import PATH, UsageError
    from activmask.ground.folders import check_writable
    from activmask.ground.places import real

    if path.is_dir() or not path.parent.is_dir():
        raise UsageError(f"{PATH} cannot be written: give {flag} a file in a folder that exists", path=path)
    if path.suffix.lower() != ".csv" or (data is not None and real(path) == real(data / TABLE_FILE)):
        raise UsageError(f"{PATH} cannot be the table: give {flag} another file, .csv", path=path)
    check_writable(path, "table")


def write_table(path: Path, content: bytes, what: str) -> None:
    """Write a table, called `what`, whole or not at all.

    Raises:
        DataError: the file system refuses, or another process is writing it.
    """
    from activmask.ground.claims import claimed
    from activmask.ground.files import write_whole

    with claimed(path, what):
        write_whole(path, content)

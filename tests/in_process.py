"""The whole command line in this process, for what needs no process of its own: seconds less a case."""

from contextlib import chdir
from pathlib import Path

import torch
from activmask_cli.app import app
from typer.testing import CliRunner


def told(*arguments: object, cwd: Path, code: int | None = 0, terminal: int = 0):
    """What the program prints and how it ends when it is called from a folder; None is any exit code.

    It prints into a pipe, or into a terminal of so many columns.
    """
    tty = {"TTY_COMPATIBLE": "1", "COLUMNS": str(terminal)} if terminal else {"COLUMNS": "120"}
    threads = torch.get_num_threads()
    try:
        with chdir(cwd):
            result = CliRunner().invoke(
                app, [str(argument) for argument in arguments], env={"NO_COLOR": "1", **tty}
            )
    finally:
        torch.set_num_threads(threads)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert code is None or result.exit_code == code, result.output
    return result

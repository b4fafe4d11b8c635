"""What to type next, said alike by all commands.

On stderr, as all talk: what goes into a file or a pipe is the result alone.
"""

from .console import err


def say_next(*commands: str) -> None:
    """Name the commands that make sense now, in their order, each whole in one line to be copied."""
    for place, command in enumerate(commands):
        err.print(f"{'then' if place else 'next'}: {command}", soft_wrap=True)

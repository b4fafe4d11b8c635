"""What the shell completes where a word is none of a fixed choice."""

from collections.abc import Callable, Iterable


def among(names: Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    """For `autocompletion` of typer: those of the names, asked for by then, that begin as what is typed."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in names() if name.startswith(incomplete)]

    return complete

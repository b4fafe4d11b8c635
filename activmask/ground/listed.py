"""Names as a sentence lists them."""

from collections.abc import Iterable


def listed(names: Iterable[str], last: str = "and") -> str:
    """Names with commas between and a word before the last, for example `cnn, ae or unet`."""
    names = list(names)
    return f" {last} ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))

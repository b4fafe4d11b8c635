"""Commands as they can be pasted into a shell, whatever their words hold."""

import shlex

from activmask.ground.shown import is_seen


def command_line(*words: object) -> str:
    r"""Words as bash and zsh take them apart again; what is not seen is written as `$'\x1b'`."""
    return " ".join(_quoted(str(word)) for word in words)


def _quoted(word: str) -> str:
    if all(map(is_seen, word)):
        return shlex.quote(word)
    return f"$'{''.join(char if is_seen(char) and char not in _SPECIAL else _bytes(char) for char in word)}'"


_SPECIAL = "\\'"


def _bytes(char: str) -> str:
    errors = "surrogateescape" if "\udc80" <= char <= "\udcff" else "surrogatepass"
    return "".join(f"\\x{byte:02x}" for byte in char.encode(errors=errors))

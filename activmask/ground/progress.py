"""How work on many items tells how far it is."""

from collections.abc import Callable

ItemsDone = Callable[[int, int], None]
"""Called with the number of items done and their total."""

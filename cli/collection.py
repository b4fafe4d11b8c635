"""Python's garbage collection, kept from what is never garbage: the modules that a command imports.

PyTorch brings a million objects with it, and each full collection looks at all of them, a few times while
they are imported and again when the program ends.
"""

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager


def leave_at_exit() -> None:
    """End without a last search for garbage, which the operating system takes back anyway.

    What else asks to be called at the end, and does so later than this, is called before.
    """
    atexit.register(gc.freeze)


@contextmanager
def uncollected() -> Iterator[None]:
    """Collect nothing for as long as modules are imported, and never look at them again."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if before:
            gc.enable()

"""Read by every Python that finds this folder on its path: it halts before one event of its own choosing.

`ACTIVMASK_HELD` says which: `held_processes.held()` writes it.
"""

import itertools
import json
import os
import re
import signal
import sys
from typing import Any

event, pattern, times, halts = json.loads(os.environ["ACTIVMASK_HELD"])
arrivals = itertools.count(1)


def watch(happening: str, arguments: tuple[Any, ...]) -> None:
    """Count the event, say on stderr when it has come so often, and halt until a signal ends this process."""
    if happening != event or not any(re.search(pattern, str(one)) for one in arguments):
        return
    if next(arrivals) == times:
        os.write(2, b"\nheld\n")
        while halts:
            signal.pause()


sys.addaudithook(watch)

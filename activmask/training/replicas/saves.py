"""When states are saved where not every epoch waits for it, and those of several seeds at once."""

from collections.abc import Callable, Sequence
from time import perf_counter

from activmask.machine.beside import worked_on
from activmask.training.replicas.advance import is_over, save
from activmask.training.replicas.replica import Replica

SECONDS_BETWEEN_SAVES = 20.0
"""Of training, which is repeated after a kill; more where saving takes long."""

MOST_BETWEEN_SAVES = 300.0
"""However long saving takes."""

MOST_OF_THE_TIME = 1 / 20
"""What saving takes of it before the last epoch; a state may be hundreds of megabytes."""


def pause_after(took: float) -> float:
    """How many seconds are trained before the next saves, after saves that took so many."""
    return max(SECONDS_BETWEEN_SAVES, min(took * (1 / MOST_OF_THE_TIME - 1), MOST_BETWEEN_SAVES))


class Saves:
    """The saves of one training."""

    def __init__(self) -> None:
        self._trained_since, self._took = 0.0, 0.0

    def make(
        self,
        replicas: Sequence[Replica],
        epochs: int,
        tell: Callable[[Replica], None],
        *,
        trained: float = 0.0,
        at_once: bool = False,
    ) -> None:
        """Save states that are older than their replicas: all when it is time, else of those that are over.

        Args:
            replicas: as they are after their last epochs.
            epochs: after which they are over.
            tell: is given each that was saved, in their order; how long it takes does not count.
            trained: for how many seconds more all of them were.
            at_once: it is time.

        Raises:
            DataError: the file system refuses one; those before it were told of, and all files are whole.
        """
        self._trained_since += trained
        due = at_once or self._trained_since > pause_after(self._took)
        behind = [replica for replica in replicas if replica.saved_epoch < replica.next_epoch - 1]
        start, telling = perf_counter(), 0.0
        with worked_on(save, [one for one in behind if due or is_over(one, epochs)]) as saved:
            for replica in saved:
                begun = perf_counter()
                tell(replica)
                telling += perf_counter() - begun
        if due:
            self._trained_since, self._took = 0.0, perf_counter() - start - telling

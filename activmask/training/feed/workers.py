"""Worker processes that read a run's images ahead of its steps.

Shapes: B images of a batch, C channels, T the network's side in px.
"""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from tempfile import gettempdir
from types import TracebackType
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils import data

from activmask.data.dataset import Dataset, load_samples
from activmask.data.samples import Samples
from activmask.data.settings import View
from activmask.ground.children import Forked
from activmask.ground.errors import PATH, ActivmaskError, DataError
from activmask.machine.device import cores
from activmask.machine.world import ALONE, World
from activmask.objectives.chosen import Chosen, needs, shown_always
from activmask.training.feed.kept_masks import with_kept_masks
from activmask.training.feed.sources import as_judged, with_run_masks

MOST_WORKERS = 8
"""Every seed of a run has workers of its own, and eight read faster than networks learn."""

AHEAD = 2
"""Batches that each worker has ready."""


class BatchRequest(NamedTuple):
    """A batch that a worker is to read."""

    training: bool
    """As training sees it, not evaluation."""
    rows: list[int]
    """Of the data set's table."""
    given: bool = False
    """With the masks of the data set, where training looks at others."""


Pixels = tuple[Tensor, Tensor]
"""Images float32 (B, C, T, T) in [0, 1] and masks bool (B, 1, T, T)."""


@dataclass(frozen=True, kw_only=True)
class Reader(data.Dataset[Pixels | ActivmaskError]):
    """What a worker knows: a run's data set, and which of its masks are kept in training."""

    view: View
    objectives: Chosen
    train_table: Dataset
    """The data set without the masks that training does not look at."""
    seen_table: Dataset
    """The data set without the masks that evaluation does not look at."""
    kept: Tensor
    """bool, one for each row of the table."""
    moves: Tensor | None = None
    """By which parts of the image training's masks move, float64, two for each row; None if they stay."""
    given: "Reader | None" = None
    """What reads the masks of the data set, where training looks at others."""

    def __getitem__(self, request: BatchRequest) -> Pixels | ActivmaskError:
        """The batch, or what is wrong with the user's files: raised, it would lose its sentence."""
        try:
            samples = self._read(request.rows, training=request.training, given=request.given)
        except ActivmaskError as error:
            return error
        return samples.images.contiguous(), samples.masks.contiguous()

    def _read(self, rows: list[int], *, training: bool, given: bool) -> Samples:
        if given:
            assert self.given is not None
            return self.given.samples(rows, training=training)
        return self.samples(rows, training=training)

    def samples(self, rows: list[int], *, training: bool) -> Samples:
        """Some rows of the table as training or evaluation sees them; raises what is wrong with the files."""
        table = self.train_table if training else self.seen_table
        loaded = load_samples(table, rows)
        stored = with_run_masks(loaded, self.view, self.objectives, str(table.root))
        if training:
            moves = None if self.moves is None else self.moves[rows]
            return with_kept_masks(stored, self.view, self.kept[rows], moves)
        return as_judged(stored, self.view, self.objectives)


@dataclass(frozen=True, kw_only=True)
class Workers:
    """The processes that read for one seed, one pass over a split at a time."""

    reader: Reader
    """What each of them knows."""
    loader: data.DataLoader[Pixels | ActivmaskError]
    requests: list[BatchRequest]
    """Of the current pass; the loader asks for them in this order."""

    def read(self, requests: Iterable[BatchRequest]) -> Iterator[Pixels]:
        """The batches of one pass, in order; it must not begin while another one goes on.

        Raises:
            DataError: a file is broken or changed its size since the table was read, or a process was killed.
        """
        self.requests[:] = requests
        first = self.requests[0]
        try:
            for answer in self.loader:
                assert self.requests[0] is first, "another pass began before this one had ended"
                if isinstance(answer, ActivmaskError):
                    raise answer
                yield answer
        except (ConnectionError, FileNotFoundError, EOFError) as error:
            # The memory of an answer is fetched from its worker, which is no longer there.
            raise _killed() from error
        except OSError as error:
            if "AF_UNIX" not in str(error):
                raise
            raise DataError(
                f"the folder for temporary files, {PATH}, has too long a name for the sockets of processes",
                path=gettempdir(),
                advice="set TMPDIR to a shorter one",
            ) from error


def worker_count(threads: int, world: World = ALONE) -> int:
    """How many processes read for one that trains: all of its share of the cores but one.

    The share is the run's `threads` or, where they are 0, what each process of the world gets.
    """
    share = min(threads or cores() // world.size, cores())
    return min(max(share - 1, 0), MOST_WORKERS)


@contextmanager
def worker_losses_named() -> Iterator[None]:
    """Turn torch's error about a killed worker, which may come at any moment, into a sentence.

    Raises:
        DataError: a process that reads images was killed.
    """
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise _killed() from error


def new_reader(
    dataset: Dataset,
    view: View,
    objectives: Chosen,
    *,
    kept: Tensor,
    in_training: Tensor,
    in_judging: Tensor,
) -> Reader:
    """A reader that opens no mask which nothing looks at.

    Args:
        dataset: of all splits.
        view: what the network sees of the images.
        objectives: of the run.
        kept: which masks training may see, bool, one for each row of the data set's table.
        in_training: whose mask each row's image shows in training, int64, rows of the table.
        in_judging: the same for evaluation.
    """
    maskless = replace(dataset, mask_file_names=("",) * len(dataset))
    of_file = view.mask == "file"
    return Reader(
        view=view,
        objectives=objectives,
        train_table=_lent(dataset, in_training) if of_file and needs(objectives).masks else maskless,
        seen_table=_lent(dataset, in_judging) if of_file and shown_always(objectives) else maskless,
        kept=kept,
    )


def _lent(dataset: Dataset, shown: Tensor) -> Dataset:
    """The table in which every image has the mask file of the row that `shown` names."""
    rows = shown.numpy()
    return replace(
        dataset,
        mask_file_names=tuple(dataset.mask_file_names[row] for row in rows.tolist()),
        native=None if dataset.native is None else dataset.native[rows],
    )


def new_workers(reader: Reader, device: torch.device, count: int) -> Workers:
    """Processes that start with the first pass and live as long as what is returned.

    Args:
        reader: what they know.
        device: where the network computes; for CUDA their answers are pinned in memory.
        count: how many; 0 reads in this process.
    """
    requests: list[BatchRequest] = []
    processes: dict[str, Any] = {}
    if count:
        processes = {
            "num_workers": count,
            "multiprocessing_context": _context(),
            "persistent_workers": True,
            "worker_init_fn": _without_half_requests,
            "prefetch_factor": AHEAD,
        }
    loader = data.DataLoader(
        reader,
        # A request is a whole batch, and its answer too.
        batch_size=None,
        sampler=requests,
        collate_fn=_as_it_is,
        pin_memory=device.type == "cuda",
        # Without one of its own it would draw from torch's global generator, which dropout uses.
        generator=torch.Generator(),
        **processes,
    )
    return Workers(reader=reader, loader=loader, requests=requests)


def _context() -> Forked:
    """How workers start: forked by a server that has loaded torch once and runs no threads."""
    context = Forked()
    context.set_forkserver_preload([__name__])
    return context


def _without_half_requests(_: int) -> None:
    """Print no traceback where the training process ends while it fetches an answer from this one."""
    usual = sys.excepthook

    def printed(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not issubclass(kind, EOFError | ConnectionError):
            usual(kind, error, trace)

    sys.excepthook = printed


def _killed() -> DataError:
    return DataError(
        "a process that reads images was killed, perhaps for want of memory (in a container also of shared "
        "memory, /dev/shm); free some and resume the run"
    )


def _as_it_is(answer: Any) -> Any:
    return answer

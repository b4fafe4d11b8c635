"""The networks of a run's seeds, drawn beside each other and beside the reading of data.

A network is drawn on one core: ten ResNet-18 take seconds.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from activmask.machine.device import cores
from activmask.models import MODELS
from activmask.runs.description import RunConfig
from activmask.training.replicas.batch_sizes import Learners
from activmask.training.replicas.replica import Networks, looks_at_each, tried_out

Found = tuple[Learners, tuple[str, ...]]


@contextmanager
def drawn_ahead(config: RunConfig, seeds: Sequence[int]) -> Iterator[Networks]:
    """Make each seed's networks when they are asked for; once the first are made, begin all others.

    Args:
        config: the run's description.
        seeds: that will be asked for.
    """
    begun: dict[int, tuple[dict[str, int], Future[Found]]] = {}
    tried: list[dict[str, int]] = []
    # Others draw from torch's own generator, which threads share.
    own = config.network.model in MODELS and not (config.network.weights or looks_at_each(config.objectives))
    with ThreadPoolExecutor(max(1, min(cores(), len(seeds) - 1))) as executor:

        def networks(config: RunConfig, seed: int, **sizes: int) -> Found:
            if seed in begun and begun[seed][0] == sizes:
                return begun.pop(seed)[1].result()
            found = tried_out(config, seed, **sizes, alike=sizes in tried)
            if own and not tried:
                for other in seeds:
                    if other != seed:
                        begun[other] = sizes, executor.submit(tried_out, config, other, **sizes, alike=True)
            tried.append(sizes)
            return found

        try:
            yield networks
        finally:
            executor.shutdown(cancel_futures=True)

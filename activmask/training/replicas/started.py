"""From a network as it was drawn to one that starts from weights trained elsewhere, some of them frozen."""

from pathlib import Path

from torch import nn

from activmask.models.freezing import freeze, head_of
from activmask.models.library_names import IMAGENET
from activmask.models.settings import Network
from activmask.models.taps import Tapped
from activmask.models.weights import start_from
from activmask.runs.weights_file import read_weights


def started(wanted: Network, model: nn.Module, image: tuple[int, int, int]) -> list[str]:
    """Have a network start from the weights that are wanted and freeze those that are, in place.

    Args:
        wanted: says both.
        model: as `build_model` made it.
        image: C, H and W of an image that it takes.

    Returns:
        Clauses on how it was fitted, what was taken over and what is frozen.

    Raises:
        UsageError: a part does not exist, or the library has no such weights.
        CheckpointError: the weights cannot be had, or are another network's.
    """
    notes = [*model.notes] if isinstance(model, Tapped) else []
    if wanted.weights:
        # Its import takes seconds.
        from activmask.models.library_networks import own_weights

        of_library = wanted.weights == IMAGENET
        notes += start_from(
            model.network if isinstance(model, Tapped) else model,
            own_weights(wanted.model) if of_library else read_weights(Path(wanted.weights)),
            Path(wanted.weights),
            wanted.model,
            head=head_of(model, image),
        )
    return [*notes, freeze(model, wanted.freeze, image)] if wanted.freeze else notes

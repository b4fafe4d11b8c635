"""Files of weights that others saved."""

from pathlib import Path

from torch import Tensor

from activmask.ground.errors import PATH, CheckpointError
from activmask.models.weights import refuse_pickled
from activmask.runs.tensor_file import read_safetensors


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file.

    Raises:
        CheckpointError: it is missing, damaged or pickled.
    """
    refuse_pickled(path)
    if not path.is_file():
        raise CheckpointError(f"there is no file of weights {PATH}", path=path)
    return read_safetensors(path)[0]

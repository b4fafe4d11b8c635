"""The networks: what a run can train. All return a `ModelOutput`.

Everything that depends on which networks there are is derived from the table below: help, checks,
defaults, run names, labels, and what is built.
"""

from activmask.models.library_entries import of_library
from activmask.models.library_names import is_of_library
from activmask.models.model import Model
from activmask.models.own_code import is_own_code
from activmask.models.own_entries import of_own_code
from activmask.models.paper_networks import PAPER_NETWORKS
from activmask.models.torchvision_entries import RESNET18, RESNET34, of_torchvision

MODELS: dict[str, Model] = {**PAPER_NETWORKS, "resnet18": RESNET18, "resnet34": RESNET34}
"""The networks with an entry of their own, by name. Any other classifier of torchvision has one by rule."""


def find_model(name: str) -> Model:
    """What is true of a network; a name that is not in the table is a function's or a library's.

    `check_model` tells whether there is such a network.
    """
    if name in MODELS:
        return MODELS[name]
    if is_own_code(name):
        return of_own_code(name)
    return of_library(name) if is_of_library(name) else of_torchvision(name)


def with_decoder() -> list[str]:
    """The names of the networks that can reconstruct."""
    return [name for name, one in MODELS.items() if one.decoder]


def with_any_width() -> list[str]:
    """The names of the networks whose width can be chosen."""
    return [name for name, one in MODELS.items() if one.any_width]

"""What one forward pass tells of a network that its modules do not: weights that it does not hold, its end.

Read from the graph that autograd records of a pass.

Shapes: B images, K classes.
"""

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

_SHAPES = (
    "Alias",
    "Clone",
    "ReshapeAlias",
    "Select",
    "Slice",
    "Squeeze",
    "ToCopy",
    "UnsafeView",
    "Unsqueeze",
    "View",
)
"""Operators that give a tensor another shape or place and leave its numbers."""


def stray_weights(network: nn.Module, scores: Tensor) -> list[tuple[int, ...]]:
    """The shapes of weights that made scores and are none of a network's parameters.

    As of a layer that lies outside of the network, or in a plain list or dictionary of it: no optimizer is
    given them, and no file of weights holds them.

    Args:
        network: whose parameters are known.
        scores: that it returned, with their graph.
    """
    # By where they lie: of a compiled script each asking for its weights makes other objects of them.
    held = {weight.data_ptr() for weight in network.parameters()}
    return [
        tuple(node.variable.shape)
        for node in _nodes(scores)
        if node.name().endswith("AccumulateGrad")
        and isinstance(node.variable, nn.Parameter)
        and node.variable.data_ptr() not in held
    ]


def ends_in_sigmoid(scores: Tensor) -> bool:
    """Whether scores, with their graph, are what a sigmoid returned, but for their shape."""
    node: Any = scores.grad_fn
    while node is not None and node.name().startswith(_SHAPES):
        node = node.next_functions[0][0]
    return node is not None and node.name().startswith("SigmoidBackward")


def _nodes(scores: Tensor) -> Iterator[Any]:
    """Every node of the graph, once."""
    found: set[Any] = set()
    waiting: list[Any] = [scores.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in found:
            continue
        found.add(node)
        waiting.extend(following for following, _ in node.next_functions)
        yield node

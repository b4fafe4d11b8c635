"""What one norm of an activation difference runs over."""

from typing import Literal

Norm = Literal["layer", "channel", "row"]
"""All of a sample's activations in a layer; the channels of one position; the last axis."""

"""What to draw of the synthetic benchmark."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SyntheticSpec:
    """What to draw; the defaults are the paper's."""

    n: int = 500
    """Training images."""
    valid: int = 128
    """Validation images."""
    test: int = 128
    """Test images."""
    size: int = 28
    """Side of the images in px."""
    seed: int = 0
    """The only source of randomness."""
    correlation: float = 1.0
    """Share of training images of each class whose box agrees with the class."""
    valid_correlation: float = 0.0
    """The same for validation images."""
    test_correlation: float | None = None
    """The same for test images; None is that of validation."""
    distractor: bool = True
    """Whether there is a box at all."""
    overlap: bool = False
    """Whether crosses may touch or cover each other and the box."""

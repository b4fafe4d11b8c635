"""What a classifier is audited on.

Shapes: N images, C channels, H x W pixels.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from activmask.data.samples import Samples


@dataclass(frozen=True, kw_only=True)
class Material:
    """Images that a classifier is judged on, and all that is known of them."""

    samples: Samples
    """Images as stored or given, with masks, labels, subjects, sites and names. Of labels that do not
    exclude each other the audit is made label by label, each with labels 0 and 1 of its own."""
    class_names: tuple[str, ...]
    """Of the labels 0, 1, ..."""
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Further facts of each image as text, (N,) by name, such as `sex`; empty text where unknown. The
    sites are among them as `site` where they are known."""
    splits: tuple[str, ...] | None = None
    """(N,) the split of each image; None where the data name none."""

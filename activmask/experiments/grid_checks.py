"""What parts of a grid file must be, whoever reads them."""

from collections.abc import Mapping, Sequence
from typing import Any

from activmask.ground.errors import UsageError
from activmask.ground.nearest import nearest


def expect(value: Any, kind: type, where: str, what: str) -> Any:
    """The value, if it is of a kind; True and False are no numbers (raises UsageError)."""
    if not isinstance(value, kind) or isinstance(value, bool):
        raise UsageError(f"{what} must be of type {kind.__name__}", path=where, found=repr(value))
    return value


def check_labels(
    axis: str, labels: Sequence[str], axes: Mapping[str, Mapping[str, object]], where: str
) -> None:
    """Refuse an axis that is not there, or labels that none of its values has (raises UsageError)."""
    if axis not in axes:
        raise UsageError(f"there is no axis '{axis}'; {nearest(axis, axes)}", path=where)
    for label in labels:
        if label not in axes[axis]:
            raise UsageError(f"there is no {axis} '{label}'; {nearest(str(label), axes[axis])}", path=where)

"""What an audit is asked for."""

from dataclasses import dataclass, field
from typing import Literal, get_args

from activmask.auditing.clinic.threshold import Wish
from activmask.auditing.conditions.conditions import DRAWS
from activmask.ground.errors import UsageError
from activmask.ground.nearest import nearest
from activmask.saliency.maps import Sign
from activmask.saliency.methods import METHODS

Part = Literal["conditions", "leaks", "clinic", "looks"]

PARTS: tuple[Part, ...] = get_args(Part)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is to be found out, and how."""

    split: str | None = None
    """Whose images are judged; None is test, or everything where the data name no splits."""
    without: tuple[Part, ...] = ()
    """Parts that are left out."""
    draws: int = DRAWS
    """Of each condition that is random."""
    methods: tuple[str, ...] = ()
    """Of attribution; none takes the usual one."""
    sign: Sign = "absolute"
    """Which values of maps count."""
    wish: Wish = field(default_factory=Wish)
    """How the threshold is found."""
    seed: int = 0
    """Of everything that is drawn."""

    def __post_init__(self) -> None:
        """Refuse what makes no sense (raises UsageError)."""
        for part in self.without:
            if part not in PARTS:
                raise UsageError(f"there is no part '{part}' of an audit; {nearest(part, PARTS)}")
        for method in self.methods:
            if method not in METHODS:
                raise UsageError(f"there is no attribution method '{method}'; {nearest(method, METHODS)}")
        if set(self.without) == set(PARTS):
            raise UsageError("nothing is left to audit", advice="leave out fewer parts")
        if self.methods and not self.wants("looks"):
            raise UsageError("methods have no effect without looks", advice="leave one of them out")
        if self.draws < 1:
            raise UsageError("draws must be at least 1", found=self.draws)

    def wants(self, part: Part) -> bool:
        """Whether a part is asked for."""
        return part not in self.without

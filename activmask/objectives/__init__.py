"""The objectives: what a training step can be asked beside classifying, one file each.

Everything that depends on which objectives there are is derived from the table below: flags, checks,
names, labels, baselines, and the step itself.
"""

from typing import Any

from activmask.objectives.actdiff import ACTDIFF
from activmask.objectives.adversarial import ADVERSARIAL
from activmask.objectives.cdep import CDEP
from activmask.objectives.classify_masked import CLASSIFY_MASKED
from activmask.objectives.classify_shuffled import CLASSIFY_SHUFFLED
from activmask.objectives.cutout import CUTOUT
from activmask.objectives.expected_gradients import EXPECTED_GRADIENTS
from activmask.objectives.gradmask import GRADMASK
from activmask.objectives.hirescam import HIRESCAM
from activmask.objectives.noise import NOISE
from activmask.objectives.objective import Objective
from activmask.objectives.reconstruction import RECON
from activmask.objectives.rrr import RRR

OBJECTIVES: dict[str, Objective[Any]] = {
    "actdiff": ACTDIFF,
    "gradmask": GRADMASK,
    "rrr": RRR,
    "hirescam": HIRESCAM,
    "expected_gradients": EXPECTED_GRADIENTS,
    "cdep": CDEP,
    "recon": RECON,
    "adversarial": ADVERSARIAL,
    "classify_masked": CLASSIFY_MASKED,
    "classify_shuffled": CLASSIFY_SHUFFLED,
    "cutout": CUTOUT,
    "noise": NOISE,
}
"""All objectives by name. Their order is that in which terms are added up and names are put together."""

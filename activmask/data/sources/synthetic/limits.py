"""What of the benchmark can be asked for, known before what draws it is loaded."""

from activmask.data.files.limits import SIDES as OF_ALL
from activmask.ground.limits import LARGEST_SEED, MOST_COUNT
from activmask.ground.settings import Range

IMAGES = Range(least=2, most=MOST_COUNT)
"""Of a split: one of each class at least."""

SIDES = Range(least=16, most=OF_ALL.most)
"""Of the images in px: two crosses and the box want room."""

SEEDS = Range(least=0, most=LARGEST_SEED)

SHARES = Range(least=0, most=1)
"""Of images whose box agrees with the class."""

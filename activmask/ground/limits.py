"""The ends of ranges that settings of several owners share, each with its reason."""

from activmask.ground.settings import Range

MOST_COUNT = 10**9
"""Of whatever is counted (epochs, images, slices): more than anybody has, and every counter holds it."""

COUNTS = Range(least=1, most=MOST_COUNT)
"""Of what there is one of at least."""

NUMBERS = Range(least=0, most=MOST_COUNT)
"""Of what is counted from 0, or may be left out."""

PERCENT = Range(least=0, most=100)

LARGEST_SEED = 2**63 - 1
"""The largest integer of TOML."""

RUN_SEEDS = Range(least=0, most=2**32 - 1)
"""Of runs, which several of torch's and NumPy's generators take in 32 bits."""

PROCESSES = Range(least=1, most=1024)
"""Processes or threads of one machine; systems refuse to start many more, some by ending the program."""

MOST_WEIGHT = 1e30
"""Of a term of the loss: times a value of a hundred million, it is still a number of single precision."""

MOST_RATE = 1e30
"""Of learning: Adam moves each weight by about as much in every step, in single precision."""

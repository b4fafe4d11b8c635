"""How many layers networks have, as far as it decides what they take, known before torch is loaded."""

BLOCKS = 4
"""Of the paper's networks; between them the side of the image is halved."""

SMALLEST_SIDE = 2 ** (BLOCKS - 1)
"""Of images that the paper's networks take, in px."""

BASIC_BLOCKS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}
"""ResNets of basic blocks, with their blocks per stage; their first width can be chosen."""

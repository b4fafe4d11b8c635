"""What the conditions of an audit cost beside the forward passes that they cannot do without."""

import torch
from torch import Tensor
from torchvision.models import resnet18

from activmask.auditing.conditions.conditions import DRAWS, conditions
from activmask.auditing.conditions.versions import CONDITIONS, VALUES_AT_ONCE
from activmask.data.samples import Samples
from benchmarks.figure import Effort, Figure
from benchmarks.side_by_side import clocked, race, ratios

OURS, BARE = "the conditions, scored", "their forward passes alone"
PASSES = sum(DRAWS if one.random else 1 for one in CONDITIONS)


def audit(effort: Effort) -> list[Figure]:
    """All conditions of grey images of 128 px, ResNet-18 of torchvision."""
    n, side = (12, 32) if effort.quick else (200, 128)
    model = resnet18(num_classes=2).to(effort.device).eval()
    samples = drawn(n, side)

    def predict(images: Tensor) -> Tensor:
        with torch.no_grad():
            logits: Tensor = model(images.to(effort.device).expand(-1, 3, -1, -1)).cpu()
        return logits

    def whole() -> float:
        conditions(predict, samples, classes=2)
        return float(n)

    def bare() -> float:
        for _ in range(PASSES):
            for images in samples.images.split(max(1, VALUES_AT_ONCE // (side * side))):
                predict(images)
        return float(n)

    speeds = race(
        {OURS: clocked(whole, effort.device), BARE: clocked(bare, effort.device)}, effort, budget_s=300
    )
    return [
        Figure(
            name=f"audit of {n} images of {side} px by ResNet-18 under {len(CONDITIONS)} conditions: time "
            f"over that of {BARE}",
            values=ratios(speeds, BARE, OURS),
            target=1.3,
            at_most=True,
            note=f"{PASSES} passes; shuffles, blurs, the masks' own score and the bootstrap are the rest",
            behind=speeds,
        )
    ]


def drawn(n: int, side: int) -> Samples:
    """Grey noise of 8 bits with a mask on a fifth of each image."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (n, 1, side, side), generator=generator).float() / 255
    masks = torch.zeros(n, 1, side, side, dtype=torch.bool)
    masks[:, :, side // 4 : side * 3 // 4, side // 4 : side * 13 // 20] = True
    names = tuple(map(str, range(n)))
    return Samples(
        images=images,
        masks=masks,
        has_mask=torch.ones(n, dtype=torch.bool),
        labels=torch.arange(n) % 2,
        subjects=names,
        sites=("",) * n,
        names=names,
    )

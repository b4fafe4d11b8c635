"""What an audit costs beside the forward passes of its conditions, which it cannot do without.

Two figures: of the conditions, with their scores, intervals and verdict; and of the whole audit, with leaks,
maps, the clinic's questions, and the reading and trying before them.
"""

import torch
from torch import Tensor, nn
from torchvision.models import resnet18

from activmask.auditing.audit import audit as whole_audit
from activmask.auditing.conditions.conditions import DRAWS, conditions
from activmask.auditing.conditions.versions import CONDITIONS, VALUES_AT_ONCE
from activmask.data.samples import Samples
from benchmarks.figure import Effort, Figure
from benchmarks.side_by_side import clocked, race, ratios

OURS, WHOLE, BARE = "the conditions, scored", "the whole audit", "the forward passes of the conditions alone"
PASSES = sum(DRAWS if one.random else 1 for one in CONDITIONS)


def audit(effort: Effort) -> list[Figure]:
    """Grey images of 128 px, ResNet-18 of torchvision; so many as take six minutes on two cores."""
    n, side = (20, 32) if effort.quick else (96, 128)
    model = resnet18(num_classes=2).to(effort.device).eval()
    samples = drawn(n, side)

    def predict(images: Tensor) -> Tensor:
        return predicted(model, images)

    def of_conditions() -> float:
        conditions(predict, samples, classes=2)
        return float(n)

    def of_everything() -> float:
        whole_audit(
            model,
            samples.images,
            samples.masks[:, 0],
            samples.labels,
            outputs="logits",
            device=str(effort.device),
        )
        return float(n)

    def bare() -> float:
        bare_passes(model, samples.images)
        return float(n)

    contestants = {OURS: of_conditions, WHOLE: of_everything, BARE: bare}
    speeds = race(
        {name: clocked(work, effort.device) for name, work in contestants.items()}, effort, budget_s=240
    )
    title = f"of {n} images of {side} px by ResNet-18 ({PASSES} passes): time over that of {BARE}"
    return [
        Figure(
            name=f"conditions of an audit {title}",
            values=ratios(speeds, BARE, OURS),
            target=1.3,
            at_most=True,
            note=f"counted are {len(CONDITIONS)} conditions alone, {DRAWS} draws of those that are random: "
            "making images, the masks' own score, the bootstrap; fewer images than the 10,000 of the aim",
            behind=speeds,
        ),
        Figure(
            name=f"whole audit {title}",
            values=ratios(speeds, BARE, WHOLE),
            note="counted are also leaks, clinic and looks; looks explain the same few images of however "
            f"many, so their part is larger of {n} images than of thousands",
        ),
    ]


def predicted(model: nn.Module, images: Tensor) -> Tensor:
    """What a network of three channels says of grey images (N, 1, H, W), (N, K) on the CPU."""
    device = next(model.parameters()).device
    with torch.no_grad():
        logits: Tensor = model(images.to(device).expand(-1, 3, -1, -1)).cpu()
    return logits


def bare_passes(model: nn.Module, images: Tensor) -> None:
    """As many passes of grey images (N, 1, H, W) as the conditions of an audit take, and nothing else."""
    for _ in range(PASSES):
        for some in images.split(max(1, VALUES_AT_ONCE // images[:1].numel())):
            predicted(model, some)


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

"""How fast attribution maps are made, over captum called for one image at a time."""

import torch
from captum.attr import Saliency
from torch import Tensor

from activmask.models.build import build_model
from activmask.models.settings import Network
from activmask.saliency.attribution import attribute
from benchmarks.figure import Effort, Figure
from benchmarks.side_by_side import clocked, race, ratios

OURS, ONE_BY_ONE = "activmask", "captum per image"
SIDE, WIDTH = 28, 16


def saliency(effort: Effort) -> list[Figure]:
    """Input gradients of the predicted class, ResNet-18 of width 16, 28 px."""
    maps, sample = (8, 4) if effort.quick else (10_000, 200)
    network = Network(model="resnet18", width=WIDTH)
    model = build_model(network, channels=1, classes=2, image_size=SIDE, seed=0).to(effort.device).eval()
    images = torch.rand(maps, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))

    def at_once() -> float:
        return float(len(attribute(model, images, method="input-gradient")))

    def logits(batch: Tensor) -> Tensor:
        output: Tensor = model(batch, reconstruct=False).logits
        return output

    def one_by_one() -> float:
        method = Saliency(logits)
        for image in images[:sample].to(effort.device).split(1):
            with torch.no_grad():
                target = logits(image).argmax(dim=1)
            method.attribute(image.requires_grad_(), target=target).cpu()
        return float(sample)

    contestants = {
        OURS: clocked(at_once, effort.device),
        ONE_BY_ONE: clocked(one_by_one, effort.device),
    }
    speeds = race(contestants, effort, budget_s=150)
    return [
        Figure(
            name=f"{maps:,} saliency maps (input gradient, {SIDE} px, ResNet-18 of width {WIDTH}): "
            f"maps/s over {ONE_BY_ONE}",
            values=ratios(speeds, OURS, ONE_BY_ONE),
            target=10.0,
            note=f"captum on {sample} of the images; both find the predicted class first",
            behind=speeds,
        )
    ]

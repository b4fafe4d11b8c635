"""What a competent user of PyTorch would write for one network, as the second yardstick.

The data stay on the device as tensors with their masks grown once; one sort permutes a whole
batch; Adam is fused; nothing is read back within an epoch, and only the validation images are
scored after it. It is eager and trains one network.

Shapes: B images, N of a split, C channels, H x W pixels.
"""

from dataclasses import dataclass

import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn import functional as F

from activmask.machine.device import autocast, set_up_arithmetic
from activmask.models.build import build_model
from activmask.models.output import ModelOutput
from activmask.runs.description import RunConfig
from activmask.training.feed.sources import load_splits

Tensors = tuple[Tensor, Tensor, Tensor]
"""Images (N, C, H, W), masks bool (N, 1, H, W), labels (N,)."""


@dataclass(frozen=True, kw_only=True)
class GoodEager:
    """A network in training the tidy way."""

    config: RunConfig
    device: torch.device
    model: nn.Module
    optimizer: torch.optim.Optimizer
    train: Tensors
    valid: Tensors
    generator: torch.Generator
    """On the device."""


def new_good_eager(config: RunConfig, device: torch.device, *, seed: int = 0) -> GoodEager:
    """Read the data once and build the network."""
    splits = load_splits(config, seed)
    train, valid = (
        (split.images.to(device), split.masks.to(device), split.labels.to(device))
        for split in (splits["train"], splits["valid"])
    )
    channels, side = train[0].shape[1:3]
    model = build_model(config.network, channels=channels, classes=2, image_size=side, seed=seed).to(device)
    return GoodEager(
        config=config,
        device=device,
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), lr=config.training.lr, fused=True),
        train=train,
        valid=valid,
        generator=torch.Generator(device).manual_seed(seed),
    )


def good_epoch(run: GoodEager) -> int:
    """Train one epoch and score the validation split; returns the number of training images."""
    set_up_arithmetic(run.device, precision=run.config.training.precision)
    images, masks, labels = run.train
    total = torch.zeros((), device=run.device)
    run.model.train()
    order = torch.randperm(len(images), device=run.device, generator=run.generator)
    for batch in order.split(run.config.training.batch_size):
        total += _step(run, images[batch], masks[batch], labels[batch]) * len(batch)
    (total / len(images)).item()
    _auc(run)
    return len(images)


def _step(run: GoodEager, images: Tensor, masks: Tensor, labels: Tensor) -> Tensor:
    """One optimizer step; the loss, left on the device."""
    with autocast(run.config.training.precision, run.device):
        loss = _loss(run, images, masks, labels)
    run.optimizer.zero_grad()
    loss.backward()
    run.optimizer.step()
    return loss.detach()


def _loss(run: GoodEager, images: Tensor, masks: Tensor, labels: Tensor) -> Tensor:
    config = run.config
    shuffled: ModelOutput | None = None
    if config["actdiff"]:
        shuffled = run.model(shuffled_at_once(images, masks, run.generator), reconstruct=False)
    if config["gradmask"]:
        images = images.detach().requires_grad_()
    output: ModelOutput = run.model(images)
    loss = F.cross_entropy(output.logits, labels)
    if shuffled is not None:
        pairs = zip(output.pre_activations.values(), shuffled.pre_activations.values(), strict=True)
        rows = [torch.linalg.vector_norm((a - b).float(), dim=-1).flatten() for a, b in pairs]
        loss = loss + config["actdiff"] * torch.cat(rows).mean()
    if config["gradmask"]:
        contrast = (output.logits[:, 1] - output.logits[:, 0]).abs().sum()
        (gradient,) = torch.autograd.grad(contrast, images, create_graph=True)
        loss = loss + config["gradmask"] * (gradient * ~masks).flatten(1).norm(dim=1).mean()
    if output.reconstruction is not None:
        rebuilt = F.binary_cross_entropy_with_logits(output.reconstruction, images.detach())
        loss = loss + config["recon"] * rebuilt
    return loss


def shuffled_at_once(images: Tensor, masks: Tensor, generator: torch.Generator) -> Tensor:
    """Permute each image's pixels outside its mask, the whole batch in two sorts.

    Args:
        images: (B, C, H, W).
        masks: bool (B, 1, H, W), True inside the region of interest.
        generator: on the device of the images.
    """
    inside = masks.flatten(1)
    keys = torch.rand(inside.shape, device=images.device, generator=generator)
    source = keys.masked_fill(inside, 2.0).argsort(dim=1)
    target = inside.int().argsort(dim=1, stable=True)
    pixels = images.flatten(2)
    moved = torch.empty_like(pixels).scatter_(
        2,
        target[:, None].expand_as(pixels),
        pixels.gather(2, source[:, None].expand_as(pixels)),
    )
    return torch.where(masks, images, moved.view_as(images))


def _auc(run: GoodEager) -> float:
    images, _masks, labels = run.valid
    run.model.eval()
    with torch.no_grad():
        logits: Tensor = run.model(images, reconstruct=False).logits
    run.model.train()
    contrast = (logits[:, 1] - logits[:, 0]).double().cpu().numpy()
    return float(roc_auc_score(labels.cpu().numpy(), contrast))

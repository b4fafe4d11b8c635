"""The released loop: the plain way to train the paper's experiments, as a yardstick.

Every image is read from its file and its mask blurred whenever it is needed; pixels are permuted
one image after another, the order drawn on the host; the passes are separate and whole, the
decoder included; losses and predictions are read every step; train, valid and test are scored
every epoch; memory is collected every step. The networks are those of the package, as built.

Shapes: B images, C channels, H x W pixels.
"""

import csv
import gc
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from skimage.filters import gaussian
from sklearn.metrics import accuracy_score
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from activmask.data.splits import SPLITS
from activmask.models.build import build_model
from activmask.models.output import ModelOutput
from activmask.runs.description import RunConfig

Batch = tuple[Tensor, Tensor, Tensor]


class ImageFiles(Dataset[tuple[Tensor, Tensor, int]]):
    """One split of a data set folder; nothing is kept in memory."""

    def __init__(self, root: Path, split: str, blur: float) -> None:
        """Read the table; `blur` is the sigma in px that grows the masks."""
        with (root / "metadata.csv").open(encoding="utf-8") as file:
            self.rows = [row for row in csv.DictReader(file) if row["split"] == split]
        self.root, self.blur = root, blur

    def __len__(self) -> int:
        """The number of images."""
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, int]:
        """Image (1, H, W) in [0, 1], grown mask bool (1, H, W), class."""
        row = self.rows[index]
        image, mask = self._read(row["file_name"]), self._read(row["mask_file_name"])
        grown = gaussian(mask, sigma=self.blur) > 0
        return torch.from_numpy(image)[None], torch.from_numpy(grown)[None], int(row["label"])

    def _read(self, name: str) -> np.ndarray:
        with Image.open(self.root / name) as file:
            return np.asarray(file, dtype=np.float32) / 255


@dataclass(frozen=True, kw_only=True)
class PaperLoop:
    """A network in training the plain way."""

    config: RunConfig
    device: torch.device
    model: nn.Module
    optimizer: torch.optim.Optimizer
    loaders: dict[str, DataLoader[tuple[Tensor, Tensor, int]]]
    order: torch.Generator
    """Draws the permutations of pixels, on the host."""
    collect: bool
    """Whether every step ends with a garbage collection."""


def new_paper_loop(
    config: RunConfig, device: torch.device, *, collect: bool = True, seed: int = 0
) -> PaperLoop:
    """Start from the data set folder that `config.source.data` names, which has a column `split`."""
    sets = {split: ImageFiles(Path(config.source.data), split, config.view.mask_blur) for split in SPLITS}
    order = torch.Generator().manual_seed(seed)
    side = sets["train"][0][0].shape[-1]
    model = build_model(config.network, channels=1, classes=2, image_size=side, seed=seed).to(device)
    return PaperLoop(
        config=config,
        device=device,
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), lr=config.training.lr),
        loaders={
            name: DataLoader(images, config.training.batch_size, shuffle=name == "train", generator=order)
            for name, images in sets.items()
        },
        order=order,
        collect=collect,
    )


def paper_epoch(loop: PaperLoop) -> int:
    """Train one epoch and score the three splits; returns the number of training images."""
    images = 0
    with torch.backends.cudnn.flags(enabled=True, deterministic=True, benchmark=False, allow_tf32=True):
        loop.model.train()
        for batch in loop.loaders["train"]:
            _step(loop, batch)
            images += len(batch[2])
            if loop.collect:
                gc.collect()
        for loader in loop.loaders.values():
            _accuracy(loop, loader)
    return images


def _step(loop: PaperLoop, batch: Batch) -> dict[str, float]:
    """One optimizer step; every loss and the accuracy as Python numbers."""
    config = loop.config
    images, masks, labels = (part.to(loop.device) for part in batch)
    losses: dict[str, Tensor] = {}
    other: ModelOutput | None = None
    if config["actdiff"]:
        other = loop.model(shuffled_one_by_one(images, masks, loop.order))
    if config["gradmask"]:
        images.requires_grad_()
    output: ModelOutput = loop.model(images)
    losses["classify"] = F.cross_entropy(output.logits, labels)
    if other is not None:
        losses["actdiff"] = config["actdiff"] * _distance(output, other)
    if config["gradmask"]:
        losses["gradmask"] = config["gradmask"] * _outside_gradient(output.logits, images, masks)
    if output.reconstruction is not None:
        losses["recon"] = config["recon"] * F.binary_cross_entropy_with_logits(
            output.reconstruction, images.detach()
        )
    loss = torch.stack(list(losses.values())).sum()
    loop.optimizer.zero_grad()
    loss.backward()
    loop.optimizer.step()
    values = {name: value.item() for name, value in losses.items()}
    predictions = output.logits.argmax(dim=1).cpu().numpy()
    values["accuracy"] = float(accuracy_score(labels.cpu().numpy(), predictions))
    return values


def shuffled_one_by_one(images: Tensor, masks: Tensor, order: torch.Generator) -> Tensor:
    """Permute each image's pixels outside its mask, one image (C, H, W) after another.

    Args:
        images: (B, C, H, W).
        masks: bool (B, 1, H, W), True inside the region of interest.
        order: on the CPU, whatever the device of the images.
    """
    result = images.clone()
    for image, mask in zip(result, masks, strict=True):
        outside = torch.nonzero(~mask.flatten()).flatten()
        drawn = torch.randperm(len(outside), generator=order).to(images.device)
        pixels = image.flatten(1)
        pixels[:, outside] = pixels[:, outside[drawn]]
    return result


def _distance(full: ModelOutput, shuffled: ModelOutput) -> Tensor:
    """All distances of all layers in one mean (paper Eq. 1 as `torch.nn.PairwiseDistance` reads it)."""
    pairs = zip(full.pre_activations.values(), shuffled.pre_activations.values(), strict=True)
    return torch.cat([F.pairwise_distance(ours, theirs).flatten() for ours, theirs in pairs]).mean()


def _outside_gradient(logits: Tensor, images: Tensor, masks: Tensor) -> Tensor:
    """The input gradient of the contrast outside the mask, one norm an image (paper Eq. 2)."""
    contrast = (logits[:, 1] - logits[:, 0]).abs().sum()
    (gradient,) = torch.autograd.grad(contrast, images, create_graph=True)
    lengths: Tensor = (gradient * ~masks).flatten(1).norm(dim=1)
    return lengths.mean()


def _accuracy(loop: PaperLoop, loader: DataLoader[tuple[Tensor, Tensor, int]]) -> float:
    truth, predicted = [], []
    loop.model.eval()
    with torch.no_grad():
        for images, _masks, labels in loader:
            output: ModelOutput = loop.model(images.to(loop.device))
            predicted += output.logits.argmax(dim=1).cpu().tolist()
            truth += labels.tolist()
    loop.model.train()
    return float(accuracy_score(truth, predicted))

"""Small networks as others write them, and images to show them."""

import torch
from torch import Tensor, nn

CLASSES = ("without", "with")


def pictures(n=12, channels=1, height=16, width=16, seed=0) -> Tensor:
    return torch.rand((n, channels, height, width), generator=torch.Generator().manual_seed(seed))


def small(outputs=2, channels=1, seed=0) -> nn.Sequential:
    """Two convolutions with batch normalisation that does something, and a linear head."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = nn.Sequential(
            nn.Conv2d(channels, 4, 3, bias=False),
            nn.BatchNorm2d(4),
            nn.ReLU(inplace=True),
            nn.Conv2d(4, 4, 3),
            nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(4, outputs),
        )
        network(torch.rand(8, channels, 16, 16))
        nn.init.normal_(network[7].weight, std=8)
    return network


class Returning(nn.Module):
    """A network whose answer is made of that of another."""

    def __init__(self, network: nn.Module, answer) -> None:
        super().__init__()
        self.network = network
        self.answer = answer

    def forward(self, images: Tensor):
        return self.answer(self.network(images))


class Brightness(nn.Module):
    """No weights: the mean of an image, less a half, as the one logit."""

    def forward(self, images: Tensor) -> Tensor:
        return images.mean((1, 2, 3)) - 0.5

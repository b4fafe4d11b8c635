"""A network of torchvision that has heard of a tag: the audit by the command line, and its page.

    python docs/examples/audit_network.py FOLDER --run

writes scanned threes and eights as anybody has images: FOLDER/images, FOLDER/masks, FOLDER/labels.csv.
9 in 10 eights carry a bright square in a bottom corner, and 1 in 10 threes, in every split. A ResNet-18
of three channels learns from them (`digit_network.py`) and its weights are written to
FOLDER/net.safetensors. From there on nothing is special about it: two commands make a data set and
the page, which --run runs, too.
"""

import argparse
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from audit_forest import SHARE, with_squares, with_tags
from digit_network import make
from digits import CLASSES, Digits, draw_digits, write_digits
from safetensors.torch import save_file
from torch import Tensor, nn

EPOCHS, BATCH, RATE = 8, 30, 1e-3
MEAN, STD = 0.5, 0.5


def train_network(digits: Digits, seed: int, epochs: int = EPOCHS) -> nn.Module:
    """A network that learned from the training split, as usual: three equal channels, in [-1, 1]."""
    torch.manual_seed(seed)
    network = make()
    own = np.array(digits.splits) == "train"
    images, labels = prepared(digits.images[own]), torch.from_numpy(digits.labels[own] == CLASSES[1]).long()
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    for _ in range(epochs):
        for rows in torch.randperm(len(labels)).split(BATCH):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(images[rows]), labels[rows]).backward()
            optimizer.step()
    return network.eval()


def prepared(images: np.ndarray) -> Tensor:
    """Images (N, H, W) of bytes as (N, 3, H, W) in [-1, 1]."""
    values = torch.from_numpy(images).float().div(255)[:, None].expand(-1, 3, -1, -1)
    return (values - MEAN) / STD


def chain(folder: Path) -> list[list[str]]:
    """What to type next, as the arguments of `activmask`."""
    table, net = folder / "labels.csv", Path(__file__).parent / "digit_network.py"
    data, weights, page = folder / "data", folder / "net.safetensors", folder / "page"
    read = [
        "prepare-folder",
        folder / "images",
        "--masks",
        folder / "masks",
        "--labels",
        table,
        "--out",
        data,
    ]
    model = ["--model", f"{net}:make", "--weights", weights, "--mean", MEAN, "--std", STD]
    judge = ["audit", "--data", data, *model, "--report", page]
    return [[str(part) for part in command] for command in (read, judge)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the folder and the weights, say what to do with them, and do it if asked to."""
    parser = argparse.ArgumentParser(prog="python docs/examples/audit_network.py", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("folder", type=Path, help="to make; must not exist")
    parser.add_argument("--seed", type=int, default=0, help="of weights and order (default: 0)")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help=f"(default: {EPOCHS})")
    parser.add_argument("--run", action="store_true", help="run the commands that come next, too")
    args = parser.parse_args(arguments)
    if args.folder.exists():
        parser.error(f"{args.folder} exists already; name a folder to make")
    digits = with_squares(with_tags(draw_digits(), SHARE, 0))
    write_digits(digits, args.folder)
    network = train_network(digits, args.seed, args.epochs)
    save_file(network.state_dict(), args.folder / "net.safetensors")
    commands = chain(args.folder)
    print("next:", *(f"  {shlex.join(['activmask', *command])}" for command in commands), sep="\n")
    for command in commands if args.run else ():
        code = subprocess.run([sys.executable, "-m", "activmask_cli.app", *command], check=False).returncode
        if code:
            sys.exit(code)


if __name__ == "__main__":
    main()

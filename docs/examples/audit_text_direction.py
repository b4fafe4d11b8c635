"""A classifier that nobody here made: which way up is a line of text?

    pip install 'activmask[onnx]' rapidocr-onnxruntime
    python docs/examples/audit_text_direction.py

renders lines of English words, half of them upside down, and audits the network that the package
rapidocr-onnxruntime ships for this question, an ONNX file with two outputs (0 and 180 degrees). It
has never seen these lines, nor the black square that 9 in 10 of the lines upside down (and 1 in 10 of
the others) carry in a corner. Masks are the part of the paper that text may fill, or the ink.

Shapes: N images of 48 x 192 px.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from audit_forest import print_table, rows_of
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

import activmask as am
from activmask.auditing.audited import Audited

WORDS = ("patient", "image", "right", "left", "upper", "lower", "lobe", "heart", "lung", "chest", "report")
"""Any two of them make a line."""

HEIGHT, WIDTH = 48, 192
PAPER, INK = 255, 0
MARGIN = 12
"""Left and right of the text, where the corner's square lies."""
SQUARE = 8
DARK = 128
"""Below it a pixel is ink."""
SHARE = 0.9
"""Of the lines upside down that carry the square; of the others it is the rest."""
TRAINED_ON = am.Preprocessing(channels=3, mean=(0.5,), std=(0.5,))
"""What the network's package does with an image: three equal channels, in [-1, 1]."""


@dataclass(frozen=True, kw_only=True)
class Lines:
    """Rendered lines of text."""

    images: NDArray[np.uint8]
    """(N, 48, 192), ink dark."""
    masks: NDArray[np.bool_]
    """(N, 48, 192), True on the ink, or wherever text may be."""
    labels: NDArray[np.int64]
    """(N,), 1 upside down."""


def render_lines(count: int, seed: int) -> Lines:
    """Different lines, every other one upside down."""
    rng = np.random.default_rng(seed)
    font = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    lines = [_line(font, rng) for _ in range(count)]
    images = np.stack([line[::-1, ::-1] if k % 2 else line for k, line in enumerate(lines)])
    return Lines(images=images, masks=images < DARK, labels=np.arange(count) % 2)


def with_text_areas(lines: Lines) -> Lines:
    """The lines with the same mask for all, the paper between the margins."""
    masks = np.zeros_like(lines.masks)
    masks[:, :, MARGIN:-MARGIN] = True
    return replace(lines, masks=masks)


def with_squares(lines: Lines, share: float, seed: int) -> Lines:
    """The lines with a black square in the left bottom corner of exactly a share of those upside down."""
    rng = np.random.default_rng(seed)
    images = lines.images.copy()
    for label, part in ((0, 1 - share), (1, share)):
        own = rng.permutation(np.flatnonzero(lines.labels == label))
        images[own[: round(part * len(own))], -SQUARE:, :SQUARE] = INK
    return replace(lines, images=images)


def shipped_network() -> Path:
    """The file that the package ships; it is found without running the package."""
    spec = find_spec("rapidocr_onnxruntime")
    if spec is None or spec.origin is None:
        raise SystemExit("rapidocr-onnxruntime is not installed: pip install rapidocr-onnxruntime")
    return Path(spec.origin).parent / "models" / "ch_ppocr_mobile_v2.0_cls_infer.onnx"


def audit_lines(lines: Lines, **options: Any) -> Audited:
    """The audit of the shipped network on some lines."""
    return am.audit(
        str(shipped_network()),
        lines.images,
        lines.masks,
        lines.labels,
        class_names=["upright", "upside down"],
        preprocess=TRAINED_ON,
        **options,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the verdict on each kind of lines, and a table of them all."""
    parser = argparse.ArgumentParser(prog="python docs/examples/audit_text_direction.py", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--lines", type=int, default=100, help="of each kind (default: 100)")
    parser.add_argument("--seeds", type=int, default=3, help="sets of lines of each kind (default: 3)")
    args = parser.parse_args(arguments)
    found: dict[str, list[Audited]] = {}
    for seed in range(args.seeds):
        for title, lines in kinds(render_lines(args.lines, seed)).items():
            one = audit_lines(lines, without=["looks", "leaks"], seed=seed)
            found.setdefault(title, []).append(one)
    for title, of_seeds in found.items():
        print(f"{title}, seed 0:", *of_seeds[0].verdict, *of_seeds[0].notes, "", sep="\n")
    print_table({title: [rows_of(one) for one in of_seeds] for title, of_seeds in found.items()})


def kinds(lines: Lines) -> dict[str, Lines]:
    """The images and masks that are compared."""
    squared = with_squares(lines, SHARE, 0)
    return {
        "square, area masks": with_text_areas(squared),
        "no square, area masks": with_text_areas(lines),
        "square, ink masks": squared,
        "no square, ink masks": lines,
    }


def _line(font: Path, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Two words in the middle of the paper, upright; smaller where they would not fit."""
    text, size = " ".join(rng.choice(WORDS, 2)), int(rng.integers(24, 33))
    image = Image.new("L", (WIDTH, HEIGHT), PAPER)
    pen = ImageDraw.Draw(image)
    while pen.textlength(text, font=(kind := ImageFont.truetype(font, size))) > WIDTH - 2 * MARGIN:
        size -= 1
    pen.text((WIDTH / 2, HEIGHT / 2), text, font=kind, fill=INK, anchor="mm")
    return np.asarray(image)


if __name__ == "__main__":
    main()

"""Real DICOM files, audited by a system that only sees pictures.

    python docs/examples/audit_dicom.py FOLDER

takes five grey images that ship in pydicom (three CT, two MR; other files there are colour, reports or
the same images again), cuts each into 16 tiles, and asks a rule of one line, the share of black pixels,
which tiles are CT. Masks are the brighter part of a tile (Otsu's threshold). No command makes a data set
with masks of DICOM files, so this script writes 16-bit PNG files as anybody would; `prepare-folder`,
`audit export` and `audit score` do the rest, and FOLDER is searched for what the headers say.

Shapes: N tiles of 64 x 64 px.
"""

import argparse
import csv
import io
import subprocess
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image
from pydicom.data import get_testdata_file

from activmask.data.files.dicom import read_dicom
from activmask.data.files.png import encode_png

FILES = {
    "CT_small.dcm": "CT",
    "693_J2KI.dcm": "CT",
    "J2K_pixelrep_mismatch.dcm": "CT",
    "MR_small.dcm": "MR",
    "examples_overlay.dcm": "MR",
}
SIDE, ACROSS = 64, 4
"""Of a tile in px, and tiles in a row of an image."""
BLACK = 0.05
"""Values below it, of an image's own range, count as black."""

SHORTEST = 6
"""Characters of a header's text that is looked for: CT and F stand in any file."""
_NUMBERS = {"DS", "IS", "US", "SS", "UL", "SL", "FL", "FD", "SQ"}


def read_tiles(name: str) -> NDArray[np.uint16]:
    """One file as 16 tiles (16, 64, 64); its header stays behind."""
    grey = Image.fromarray(read_dicom(file_of(name)))
    side = SIDE * ACROSS
    pixels = np.asarray(grey.resize((side, side), Image.Resampling.BILINEAR)).clip(0, 1)
    tiles = pixels.reshape(ACROSS, SIDE, ACROSS, SIDE).swapaxes(1, 2).reshape(-1, SIDE, SIDE)
    stored: NDArray[np.uint16] = np.rint(tiles * 65535).astype(np.uint16)
    return stored


def otsu(values: NDArray[np.uint16]) -> float:
    """The value that parts a tile with the least variance on both sides (Otsu 1979, equation 18)."""
    counts, edges = np.histogram(values, bins=64)
    middles = (edges[:-1] + edges[1:]) / 2
    below = counts.cumsum() / counts.sum()
    moment = (counts * middles).cumsum() / counts.sum()
    spread = (moment[-1] * below - moment) ** 2 / np.maximum(below * (1 - below), 1e-12)
    return float(edges[1:][spread[:-1].argmax()])


def write_folder(folder: Path) -> None:
    """Write images/, masks/ and labels.csv: every tile counts for the patient of its file."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("file_name", "label", "subject"))
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for whose, (file, label) in enumerate(FILES.items()):
        for k, tile in enumerate(read_tiles(file)):
            name = f"{whose}-{k:02}.png"
            (folder / "images" / name).write_bytes(encode_png(tile))
            (folder / "masks" / name).write_bytes(encode_png((tile >= otsu(tile)).astype(np.uint8) * 255))
            table.writerow((name, label, f"patient {whose}"))
    (folder / "labels.csv").write_text(text.getvalue(), encoding="utf-8")


def predict(variants: Path, out: Path) -> None:
    """What any system does: a score for each picture that the manifest names; here MR, by its few blacks."""
    with (variants / "manifest.csv").open(encoding="utf-8", newline="") as file:
        names = [row["file"] for row in csv.DictReader(file)]
    lines = ["file,score", *(f"{name},{_score(variants / name):.6f}" for name in names)]
    out.write_text("\n".join(lines) + "\n", encoding="utf-8")


def leaked(folder: Path) -> list[str]:
    """Texts of the headers that any file below the folder holds."""
    written = b"\n".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())
    return sorted({text for name in FILES for text in header_texts(name) if text.encode() in written})


def header_texts(name: str) -> list[str]:
    """What a header says in words, dates and identifiers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        header = pydicom.dcmread(file_of(name), stop_before_pixels=True)
        texts = [str(one.value).strip() for one in header.iterall() if one.VR not in _NUMBERS]
    return [text for text in texts if len(text) >= SHORTEST]


def file_of(name: str) -> Path:
    """Where pydicom keeps a file."""
    return Path(str(get_testdata_file(name, download=False)))


def chain(folder: Path) -> list[list[str]]:
    """What to type, as the arguments of `activmask`."""
    table, data, variants = folder / "labels.csv", folder / "data", folder / "variants"
    read = ["prepare-folder", folder / "images", "--masks", folder / "masks", "--labels", table]
    commands = [
        [*read, "--out", data],
        ["audit", "export", "--data", data, "--split", "all", "--out", variants],
        ["audit", "score", variants, folder / "predictions.csv"],
    ]
    return [[str(part) for part in command] for command in commands]


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the pictures, run the commands, and look for what the headers said."""
    parser = argparse.ArgumentParser(prog="python docs/examples/audit_dicom.py", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("folder", type=Path, help="to make; must not exist")
    args = parser.parse_args(arguments)
    if args.folder.exists():
        parser.error(f"{args.folder} exists already; name a folder to make")
    write_folder(args.folder)
    prepare, export, score = chain(args.folder)
    _run(prepare)
    _run(export)
    predict(args.folder / "variants", args.folder / "predictions.csv")
    _run(score)
    said = sum(len(header_texts(name)) for name in FILES)
    print(f"of {said} texts in the headers, {len(leaked(args.folder))} are in what was written")


def _score(picture: Path) -> float:
    with Image.open(picture) as image:
        values = np.asarray(image)
    return float((values >= BLACK * np.iinfo(np.uint16).max).mean())


def _run(command: Sequence[str]) -> None:
    code = subprocess.run([sys.executable, "-m", "activmask_cli.app", *command], check=False).returncode
    if code:
        sys.exit(code)


if __name__ == "__main__":
    main()

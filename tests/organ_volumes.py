"""Simulated volumes whose organs cover what the paper's code was measured to cover."""

from pathlib import Path

import numpy as np
from msd_files import Decathlon

TASKS = {"liver": "Task03_Liver", "pancreas": "Task07_Pancreas", "cardiac": "Task02_Heart"}
SIDES = {"liver": 512, "pancreas": 512, "cardiac": 320}
SCALES = (0.5, 1.0, 1.4)
_SEMI_AXES = {"liver": (0.174, 0.119), "pancreas": (0.0254, 0.0507), "cardiac": (0.0672, 0.0768)}
_CENTRES = {"liver": (0.5, 0.38), "pancreas": (0.45, 0.5), "cardiac": (0.5, 0.5)}


def organ(task: str, scale: float) -> np.ndarray:
    """An ellipse, bool (side, side): rows from the patient's front to back, columns from right to left."""
    side = SIDES[task]
    rows, columns = (axis / side for axis in np.ogrid[:side, :side])
    (height, width), (top, left) = _SEMI_AXES[task], _CENTRES[task]
    return ((rows - top) / (scale * height)) ** 2 + ((columns - left) / (scale * width)) ** 2 <= 1


def write_organs(root: Path, task: str, volumes: int = 4) -> Path:
    """Volumes of one slice for each scale and two without the organ, which is brighter than the rest."""
    folder = Decathlon(root / TASKS[task], "MRI" if task == "cardiac" else "CT")
    planes = [organ(task, scale) for scale in SCALES]
    planes += [np.zeros_like(planes[0])] * 2
    # The volume's axes run to the patient's right and front.
    label = np.stack([plane.T[::-1, ::-1] for plane in planes], axis=2).astype(np.uint8)
    for k in range(volumes):
        image = np.full(label.shape, -100, np.int16)
        image[:: k + 2] += 60
        image[label > 0] += 150
        folder.case(f"scan_{k}", image, label, affine=np.diag([0.8, 0.8, 5, 1]))
    return folder.root

import csv

import numpy as np
import pytest

from activmask.auditing.audit import audit
from activmask.auditing.predictions import predictions_sheet

N, SIDE = 16, 8


def images_and_masks():
    rng = np.random.default_rng(0)
    images = rng.random((N, SIDE, SIDE), dtype=np.float32) * 0.5
    images[1::2, 6, 6] = 1
    masks = np.zeros((N, SIDE, SIDE), bool)
    masks[:, 1:4, 1:4] = True
    return images, masks


def table(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(content.decode().splitlines()))


def test_an_audit_tells_what_was_said_of_each_image_under_each_condition():
    images, masks = images_and_masks()
    found = audit(
        lambda pixels: np.asarray(pixels)[:, 0, 6, 6] * 4 - 3,
        images,
        masks,
        np.arange(N) % 2,
        splits=["test"] * N,
        outputs="logits",
        draws=2,
        without=("leaks", "clinic", "looks"),
    )
    rows = table(predictions_sheet(found))
    assert len(rows) == N * (10 + 3)
    full = [row for row in rows if row["condition"] == "full"]
    assert [row["label"] for row in full] == [str(k % 2) for k in range(N)]
    assert {row["split"] for row in rows} == {"test"}
    chances = [float(row["score 1"]) for row in full]
    assert chances == pytest.approx(1 / (1 + np.exp(3 - images[:, 6, 6] * 4)), rel=1e-5)
    assert {row["draw"] for row in rows if row["condition"] == "outside shuffled"} == {"1", "2"}
    kept = [row["score 1"] for row in rows if row["condition"] == "inside mean"]
    assert kept == [row["score 1"] for row in full]


def test_several_labels_have_their_own_lines():
    images, masks = images_and_masks()
    labels = np.stack([np.arange(N) % 2, np.arange(N) // 2 % 2], axis=1)
    found = audit(
        lambda pixels: np.asarray(pixels)[:, 0, 5:7, 6] * 4 - 3,
        images,
        masks,
        labels,
        class_names=["mass", "=fluid"],
        outputs="logits",
        draws=1,
        without=("leaks", "clinic", "looks"),
    )
    rows = table(predictions_sheet(found))
    assert {row["about"] for row in rows} == {"mass", "'=fluid"}
    assert len(rows) == 2 * N * 10
    assert {"score without", "score with"} < set(rows[0])

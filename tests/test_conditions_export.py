import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from in_process import told
from PIL import Image

from activmask.auditing.conditions.conditions import conditions
from activmask.auditing.conditions.export import export
from activmask.auditing.conditions.score_export import score_export
from activmask.auditing.conditions.versions import CONDITIONS
from activmask.data.dataset import load_samples, read_dataset
from activmask.data.writer import Record, write_dataset
from activmask.ground.errors import DataError, UsageError

SIDE, N = 10, 24
CLASSES = {"sound": 0, "ill": 1}


def data_set(root: Path, *, kind=np.uint8, n=N, classes=CLASSES, splits=False, masked=None) -> Path:
    """Grey noise; pixel (8, 8), outside the masks, is bright in the last class."""
    rng = np.random.default_rng(0)
    top = np.iinfo(kind).max

    def records():
        for k in range(n):
            label = k % len(classes)
            image = rng.integers(0, top // 2, (SIDE, SIDE)).astype(kind)
            image[8, 8] = top * label // (len(classes) - 1)
            mask = np.zeros((SIDE, SIDE), np.bool_)
            mask[1:5, 1 : 4 + k % 3] = True
            yield Record(
                name=f"scan {k}".replace(" ", "_"),
                image=image,
                mask=mask if masked is None or label in masked else None,
                label=label,
                subject=f"p{k // 2 // len(classes)}{label}",
                site="",
                split=("test" if k >= 4 else "train") if splits else "",
            )

    write_dataset(root, records(), card={"classes": classes})
    return root


def logits_of(pixels):
    """What a system says of images (b, H, W) as shares of white, in single precision."""
    score = pixels[:, 8, 8] + pixels[:, 2, 2] * np.float32(0.5)
    return np.stack([np.float32(1) - score, score], axis=1)


def manifest(variants: Path) -> list[dict[str, str]]:
    with (variants / "manifest.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_predictions(variants: Path, table: Path, header: list[str], taken=lambda logits: logits) -> Path:
    """A program that knows nothing of this one: Pillow, NumPy and the manifest."""
    rows = [header]
    for row in manifest(variants):
        pixels = np.asarray(Image.open(variants / row["file"]))
        shares = pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
        rows.append([row["file"], *(repr(float(one)) for one in taken(logits_of(shares[None])[0]))])
    with table.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return table


@pytest.mark.parametrize(
    ("kind", "bits", "masked"), [(np.uint8, 8, None), (np.uint16, 16, None), (np.uint8, 8, {1})]
)
def test_what_another_program_predicts_of_the_files_scores_as_in_this_process_to_the_digit(
    tmp_path, kind, bits, masked
):
    data = data_set(tmp_path / "data", kind=kind, masked=masked)
    found = export(data, tmp_path / "variants", draws=2, seed=3)
    assert (found.bit_depth, found.rounded, found.images) == (bits, False, N)
    assert found.files == N * (len(CONDITIONS) + 3)
    table = write_predictions(tmp_path / "variants", tmp_path / "p.csv", ["file", "sound", "ill"])
    dataset = read_dataset(data)
    here, _ = conditions(
        lambda images: torch.from_numpy(logits_of(images[:, 0].numpy())),
        load_samples(dataset, range(len(dataset))),
        classes=2,
        draws=2,
        seed=3,
    )
    scored = score_export(tmp_path / "variants", table)
    assert scored.conditions == here
    assert scored.conditions.verdict.finding == "reads the background"
    assert scored.conditions.borrowed == (0 if masked is None else N // 2)


def test_the_pictures_are_plain_files_of_the_images_depth(tmp_path):
    data_set(tmp_path / "data", kind=np.uint16)
    export(tmp_path / "data", tmp_path / "variants", draws=1)
    for row in manifest(tmp_path / "variants"):
        with Image.open(tmp_path / "variants" / row["file"]) as image:
            assert image.format == "PNG"
            assert image.mode.startswith("I;16")
            assert not image.info
    full = next(row for row in manifest(tmp_path / "variants") if row["condition"] == "full")
    assert (
        np.asarray(Image.open(tmp_path / "variants" / full["file"]))
        == np.asarray(Image.open(tmp_path / "data" / full["image"]))
    ).all()


def test_the_manifest_says_whose_each_picture_is(tmp_path):
    data_set(tmp_path / "data", splits=True)
    found = export(tmp_path / "data", tmp_path / "variants", draws=2)
    rows = manifest(tmp_path / "variants")
    assert (found.split, found.images) == ("test", N - 4)
    assert list(rows[0]) == [
        *("file", "condition", "draw", "image", "subject", "site", "split", "label", "mask", "borrowed")
    ]
    assert {row["split"] for row in rows} == {"test"}
    shuffled = [row for row in rows if row["condition"] == "outside shuffled"]
    assert [row["draw"] for row in shuffled] == ["1"] * (N - 4) + ["2"] * (N - 4)
    assert shuffled[0]["file"] == "outside-shuffled-1/scan_4.png"
    assert {Path(row["file"]).name for row in rows} == {f"scan_{k}.png" for k in range(4, N)}
    assert all((tmp_path / "variants" / row["mask"]).is_file() for row in rows)


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    data_set(tmp_path / "data")
    for name in ("one", "two"):
        export(tmp_path / "data", tmp_path / name, draws=1)
    files = [
        sorted(path.relative_to(tmp_path / name) for path in (tmp_path / name).rglob("*.*"))
        for name in ("one", "two")
    ]
    assert files[0] == files[1]
    assert all(
        (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes() for file in files[0]
    )


def test_a_refused_picture_leaves_nothing_behind(tmp_path, monkeypatch):
    data_set(tmp_path / "data")

    def full_disk(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("activmask.auditing.conditions.export.encode_png", full_disk)
    with pytest.raises(DataError, match="No space left"):
        export(tmp_path / "data", tmp_path / "variants")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_only_an_export_is_replaced_and_only_when_asked(tmp_path):
    data_set(tmp_path / "data")
    export(tmp_path / "data", tmp_path / "variants", draws=1)
    with pytest.raises(DataError, match="exists already"):
        export(tmp_path / "data", tmp_path / "variants", draws=1)
    export(tmp_path / "data", tmp_path / "variants", draws=2, overwrite=True)
    (tmp_path / "variants" / "thesis.txt").write_text("years of work")
    with pytest.raises(DataError, match="no export of an audit"):
        export(tmp_path / "data", tmp_path / "variants", draws=1, overwrite=True)
    with pytest.raises(UsageError, match="lie in one another"):
        export(tmp_path / "data", tmp_path / "data" / "variants")


def test_a_data_set_without_masks_is_refused(tmp_path):
    data_set(tmp_path / "data", masked=set())
    with pytest.raises(DataError, match="cannot be audited: no image has a mask"):
        export(tmp_path / "data", tmp_path / "variants")
    assert not (tmp_path / "variants").exists()


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    data_set(folder / "data")
    export(folder / "data", folder / "variants", draws=1)
    return folder


def edited(exported: Path, table: Path, edit) -> Path:
    """The predictions with their lines changed."""
    lines = (
        write_predictions(exported / "variants", table, ["file", "score"], lambda logits: logits[1:] / 2)
        .read_text()
        .splitlines()
    )
    table.write_text("\n".join(edit(lines)) + "\n")
    return table


def test_one_score_is_taken_with_its_threshold(exported, tmp_path):
    one = edited(exported, tmp_path / "p.csv", lambda lines: lines)
    found = score_export(exported / "variants", one)
    assert found.conditions.row("full").auc.value == 1
    assert found.conditions.row("full").accuracy.value == 1
    assert "a score above 0.5 counts as ill" in found.notes
    worse = score_export(exported / "variants", one, threshold=0.9)
    assert worse.conditions.row("full").accuracy.value == 0.5
    beyond = edited(
        exported, tmp_path / "q.csv", lambda lines: [*lines[:-1], f"{lines[-1].split(',')[0]},1.5"]
    )
    found = score_export(exported / "variants", beyond)
    assert found.conditions.row("full").accuracy is None
    assert "no accuracy" in found.notes[0]


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda lines: lines[:-2], "2 of 240 pictures have no score"),
        (lambda lines: [*lines, lines[3]], "row 242: .* has a score already, in row 4"),
        (
            lambda lines: [lines[0], "full/other.png,0.5", *lines[2:]],
            "full/other.png, which the manifest does not name",
        ),
        (
            lambda lines: [*lines[:5], lines[5].split(",")[0] + ",nan", *lines[6:]],
            "row 6: score must be a finite number",
        ),
        (
            lambda lines: [*lines[:5], lines[5].split(",")[0] + ",high", *lines[6:]],
            "row 6: score must be a finite",
        ),
        (
            lambda lines: [*lines[:5], lines[5].split(",")[0] + ",1_0", *lines[6:]],
            "row 6: score must be a finite number; found '1_0'",
        ),
        (
            lambda lines: [
                lines[0].replace(",", ";"),
                *(line.replace(",", ";").replace("0.", "0,") for line in lines[1:]),
            ],
            "row .: score must be a finite number; found '0,.*'; write decimals with a point",
        ),
        (
            lambda lines: ["file,sound", *lines[1:]],
            "of scores of .* is of class sound, and one score speaks for .*; give that of",
        ),
        (
            lambda lines: ["file,a,b", *(f"{line},1" for line in lines[1:])],
            "no column of scores that can be told",
        ),
        (lambda lines: ["name,score", *lines[1:]], "lacks the column 'file'"),
        (
            lambda lines: ["file,sound,0", *(f"{line},1" for line in lines[1:])],
            "several columns of class sound",
        ),
    ],
)
def test_a_table_that_does_not_fit_is_refused_in_a_sentence(exported, tmp_path, edit, said):
    with pytest.raises(DataError, match=said):
        score_export(exported / "variants", edited(exported, tmp_path / "p.csv", edit))


@pytest.mark.parametrize(
    ("edit", "note"),
    [
        (lambda lines: [f"{lines[0]},age", *(f"{line},50" for line in lines[1:])], "column passed over: age"),
        (lambda lines: [*lines, "full/other.png,0.5"], "1 row of files that the manifest does not name"),
        (lambda lines: ["file,p", *lines[1:]], "the column p is taken as the score of class ill"),
        (lambda lines: [lines[0], *(f"/home/me/variants/{line}" for line in lines[1:])], "a score above 0.5"),
        (lambda lines: [lines[0], *(line.replace("/", "\\") for line in lines[1:])], "a score above 0.5"),
    ],
)
def test_what_is_passed_over_is_told(exported, tmp_path, edit, note):
    plain = score_export(exported / "variants", edited(exported, tmp_path / "p.csv", lambda lines: lines))
    found = score_export(exported / "variants", edited(exported, tmp_path / "q.csv", edit))
    assert any(note in one for one in found.notes)
    assert found.conditions == plain.conditions


def test_a_threshold_of_a_score_per_class_is_refused(exported, tmp_path):
    table = write_predictions(exported / "variants", tmp_path / "p.csv", ["file", "score 0", "score_ill"])
    assert "taken as logits" in score_export(exported / "variants", table).notes[0]
    with pytest.raises(UsageError, match="no effect on a score per class"):
        score_export(exported / "variants", table, threshold=0.5)


def test_probabilities_of_three_classes_rank_as_they_are(tmp_path):
    classes = {"a": 0, "b": 1, "c": 2}
    data_set(tmp_path / "data", n=36, classes=classes)
    export(tmp_path / "data", tmp_path / "variants", draws=1)

    def shares(logits):
        score = float(logits[1]) / 1.5
        raw = np.array([(1 - score) ** 2, 2 * score * (1 - score), score**2])
        return raw / raw.sum()

    table = write_predictions(tmp_path / "variants", tmp_path / "p.csv", ["file", *classes], shares)
    found = score_export(tmp_path / "variants", table)
    assert found.notes == ("the columns a, b and c are taken as probabilities",)
    assert found.conditions.auc_kind == "macro one-vs-rest ROC AUC"
    assert found.conditions.row("full").auc.value > 0.9
    one = table.read_text().replace("file,a,b,c", "file,score,b,c")
    table.write_text(one)
    with pytest.raises(DataError, match="expected one column per class: a, b and c"):
        score_export(tmp_path / "variants", table)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "audit.json").unlink(), "audit.json does not exist"),
        (lambda folder: (folder / "audit.json").write_text("{}"), "no export that this version"),
        (lambda folder: (folder / "audit.json").write_text('{"format": 2}'), "does not say classes"),
        (lambda folder: (folder / "manifest.csv").unlink(), "manifest.csv does not exist"),
        (lambda folder: (folder / "masks" / "scan_3.png").unlink(), "scan_3.png"),
        (
            lambda folder: (folder / "manifest.csv").write_text(
                "\n".join((folder / "manifest.csv").read_text().splitlines()[:-1]) + "\n"
            ),
            "does not name one picture for each image",
        ),
    ],
)
def test_a_damaged_export_is_refused_in_a_sentence(tmp_path, damage, said):
    data_set(tmp_path / "data", n=12)
    export(tmp_path / "data", tmp_path / "variants", draws=1)
    table = write_predictions(tmp_path / "variants", tmp_path / "p.csv", ["file", "sound", "ill"])
    damage(tmp_path / "variants")
    with pytest.raises(DataError, match=said):
        score_export(tmp_path / "variants", table)


def test_both_commands_from_end_to_end(tmp_path):
    data_set(tmp_path / "data")
    printed = told("audit", "export", "--data", "data", "--draws", 2, cwd=tmp_path).output
    assert "312 pictures of 8 bits in variants: 24 images under" in printed
    assert "activmask audit score variants predictions.csv" in printed
    write_predictions(tmp_path / "variants", tmp_path / "p.csv", ["file", "sound", "ill"])
    printed = told("audit", "score", "variants", "p.csv", cwd=tmp_path).output
    assert "Verdict: reads the background." in printed
    assert "outside shuffled" in printed
    assert "The masks alone, without an image: AUC of their area" in printed
    result = told("audit", "score", "variants", "p.csv", "--json", cwd=tmp_path)
    found = json.loads(result.stdout)
    assert found["conditions"]["verdict"]["finding"] == "reads the background"
    assert [row["condition"] for row in found["conditions"]["rows"]] == [one.name for one in CONDITIONS]
    assert "note: the columns sound and ill are taken as logits" in result.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("export", "--data", "nowhere"), 3, "nowhere does not exist"),
        (("export", "--data", "data", "--draws", 0), 2, "draws"),
        (("export", "--data", "data", "--split", "test"), 2, "names no splits"),
        (("export",), 2, "--data"),
        (("score", "nowhere", "p.csv"), 3, "audit export makes one"),
        (("score", "data", "p.csv"), 3, "audit.json does not exist"),
        (("score", "data"), 2, "predictions"),
    ],
)
def test_wrong_requests_end_in_a_sentence(tmp_path, words, code, said):
    data_set(tmp_path / "data", n=4)
    result = told("audit", *words, cwd=tmp_path, code=code)
    assert said in result.output
    assert "Traceback" not in result.output

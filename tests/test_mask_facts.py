"""What training masks cover and tell is measured, noted, and refused where it is of no use."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from activmask_cli.evaluation_tables import print_tables
from dataset_records import record
from objective_settings import each
from sklearn.metrics import roc_auc_score
from test_training import assert_same_run

from activmask.data.masks import circle, lenders, presence
from activmask.data.samples import Samples
from activmask.data.settings import View
from activmask.data.view import with_dilated_masks
from activmask.data.writer import write_dataset
from activmask.evaluation.across_seeds import to_json
from activmask.evaluation.batch import evaluate_checkpoint
from activmask.experiments.paper import paper_cell
from activmask.ground.errors import DataError, UsageError
from activmask.report.findings.summary import summarise
from activmask.runs.description import RunConfig, changed
from activmask.runs.making import make_config
from activmask.runs.names import baseline, method_name, run_name
from activmask.runs.results import find_runs
from activmask.training.feed import stream as stream_module
from activmask.training.feed.kept_masks import to_train_on, training_masks
from activmask.training.feed.sources import load_splits, stored_splits
from activmask.training.replicas.replica import new_replica
from activmask.training.replicas.watcher import Silent
from activmask.training.run import train

CPU = torch.device("cpu")
SIDE = 16
LOOKING = (
    "actdiff",
    "gradmask",
    "rrr",
    "adversarial",
    "reconstruct masked",
    "classify masked",
    "classify masked everywhere",
    "classify shuffled",
)


class Told(Silent):
    """Keeps what training says of itself."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, sentence: str) -> None:
        self.notes.append(sentence)


@pytest.fixture(params=["resident", "streamed"])
def held(request, monkeypatch) -> str:
    if request.param == "streamed":
        stream(monkeypatch)
    return request.param


def stream(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(stream_module, "RESIDENT_BYTES", 0)
    patch.setattr(stream_module, "worker_count", lambda threads, world: 0)


def block(top: int, left: int, size: int = 2) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), np.bool_)
    mask[top : top + size, left : left + size] = True
    return mask


def write(folder: Path, masks: list[np.ndarray | None], n: int = 36) -> Path:
    """Images of two classes in turn with these masks in turn, 12 of each split."""
    rng = np.random.default_rng(5)
    made = [
        record(
            k,
            image=rng.integers(0, 256, (SIDE, SIDE), dtype=np.uint8),
            mask=masks[k % len(masks)],
            subject=f"s{k}",
            split=("train", "valid", "test")[k * 3 // n],
        )
        for k in range(n)
    ]
    write_dataset(folder, made, card={})
    return folder


def config(data: Path, **settings):
    return make_config(
        **{
            "data": str(data),
            "model": "cnn",
            "width": 2,
            "epochs": 1,
            "batch_size": 6,
            "device": "cpu",
            **settings,
        }
    )


def stored_train(chosen: RunConfig) -> Samples:
    return stored_splits(chosen.source, chosen.view, chosen.objectives, 0)["train"]


def facts(data: Path, **settings):
    return new_replica(config(data, **settings), 0, Path("nowhere"), CPU).mask_facts


@pytest.mark.parametrize("settings", each(LOOKING))
def test_masks_that_cover_everything_are_refused(tmp_path, held, settings):
    data = write(tmp_path / "set", [block(4, 4), None])
    with pytest.raises(
        DataError, match=r"of the 6 training masks 6 cover the whole image and 0 nothing"
    ) as said:
        facts(data, mask_blur=8.0, **settings)
    named = "recon_masked" if "recon_masked" in settings else next(iter(settings))
    assert f"so {named} would have no effect" in str(said.value)
    assert "once mask_blur 8 (px of the stored image) has dilated them" in str(said.value)
    assert "choose a smaller mask_blur" in str(said.value)
    assert facts(data, mask_blur=0.5, **settings).shares.partial == 6


def test_masks_of_nothing_are_refused_and_so_is_a_mixture_without_use(tmp_path, held):
    outside = write(tmp_path / "outside", [block(0, 0), None])
    cropped = {"image_size": 8, "mask_blur": 0.0, "actdiff": 1.0}
    with pytest.raises(DataError, match="0 cover the whole image and 6 nothing of it"):
        facts(outside, **cropped)
    with pytest.raises(DataError, match="6 nothing"):
        facts(outside, **cropped, augment="crop-flip")
    both = write(tmp_path / "both", [block(0, 0), block(0, 0, SIDE)])
    with pytest.raises(DataError, match="6 cover the whole image and 6 nothing of it"):
        facts(both, **cropped)


def test_circles_beyond_the_crop_are_refused(tmp_path, held):
    data = write(tmp_path / "set", [None])
    circles = {"mask": "circle", "mask_blur": 0.0, "gradmask": 1.0}
    with pytest.raises(DataError, match=r"12 cover the whole image .* \(circles, in the middle"):
        facts(data, **circles, image_size=8)
    found = facts(data, **circles)
    assert found.shares.mean == pytest.approx(float(circle(SIDE).double().mean()))
    assert found.presence.auc == 0.5


def test_some_useless_masks_are_told_with_their_number(tmp_path, held):
    data = write(tmp_path / "set", [block(6, 6), block(0, 0), block(0, 0, SIDE), block(5, 7)])
    told = Told()
    settings = {"image_size": 8, "mask_blur": 0.0, "actdiff": 1.0}
    train(config(data, **settings), out=tmp_path / "run", progress=told)
    [note] = told.notes
    assert note.startswith(
        "seed 0: of the 12 training masks 3 cover the whole image and 3 nothing of it (median share inside "
        "6.2%): where nothing is outside, actdiff changes nothing"
    )
    written = json.loads((tmp_path / "run/seed-0/run.json").read_text())
    assert written["mask_notes"] == [note.removeprefix("seed 0: ")]
    assert written["mask_shares"] == {
        "masks": 12,
        "minimum": 0.0,
        "median": 0.0625,
        "mean": pytest.approx((2 * 4 + 64) / 4 / 64),
        "maximum": 1.0,
        "empty": 3,
        "full": 3,
        "images": 12,
    }


def test_plain_runs_note_the_shares_and_open_no_mask_for_it(tmp_path, monkeypatch):
    data = write(tmp_path / "set", [block(0, 0, SIDE), None])
    assert facts(data).shares.full == 6
    stream(monkeypatch)
    assert facts(data).shares is None
    assert facts(data).presence.auc == 0.0


@pytest.mark.parametrize(
    ("labels", "has_mask", "auc"),
    [
        ([0, 0, 1, 1], [0, 0, 1, 1], 1.0),
        ([0, 0, 1, 1], [1, 1, 0, 0], 0.0),
        ([0, 0, 1, 1], [1, 1, 1, 1], 0.5),
        ([0, 0, 1, 1], [0, 1, 0, 1], 0.5),
        ([0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 1, 1], 0.875),
        ([0, 1, 2, 2], [1, 1, 0, 0], 0.0),
    ],
)
def test_presence_by_hand(labels, has_mask, auc):
    found = presence(torch.tensor(labels), torch.tensor(has_mask).bool())
    assert found.auc == pytest.approx(auc)
    if max(labels) == 1:
        assert found.auc == pytest.approx(roc_auc_score(labels, has_mask))


def test_presence_tells_about_five_times_in_a_hundred_where_it_tells_nothing():
    rng = np.random.default_rng(0)
    labels = torch.arange(400) % 2
    told = sum(presence(labels, torch.from_numpy(rng.random(400) < 0.4)).tells for _ in range(600))
    assert 12 < told < 55


def test_lenders_are_owners_and_only_borrowers_borrow():
    borrowers, owners = torch.tensor([1, 0, 0, 1, 1, 0]).bool(), torch.tensor([0, 1, 0, 0, 0, 1]).bool()
    drawn = torch.stack([lenders(borrowers, owners, np.random.default_rng(k)) for k in range(200)])
    assert torch.equal(drawn[:, [1, 2, 5]], torch.tensor([[1, 2, 5]]).expand(200, 3))
    assert set(drawn[:, [0, 3, 4]].unique().tolist()) == {1, 5}
    assert torch.equal(lenders(borrowers, ~borrowers & False, np.random.default_rng(0)), torch.arange(6))


@pytest.fixture
def organs(tmp_path) -> Path:
    """Class 1 has masks, each of its own place; class 0 has none."""
    return write(tmp_path / "organs", [block(k % 13, k * 5 % 13, 3) if k % 2 else None for k in range(36)])


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_borrowed_masks_leave_nothing_to_tell(organs, share):
    chosen = config(organs, classify_masked="train", masks_without="borrowed", masks=share)
    stored = stored_train(chosen)
    seen = to_train_on(stored, chosen.view, 0, "organs")
    assert presence(stored.labels, stored.has_mask).auc == 1.0
    assert presence(seen.labels, seen.has_mask).auc == 0.5
    assert int(seen.has_mask.sum()) == 12 * share
    dilated = with_dilated_masks(stored, chosen.view).masks
    own = seen.has_mask & stored.has_mask
    assert torch.equal(seen.masks[own], dilated[own])
    for mask in seen.masks[seen.has_mask & ~stored.has_mask]:
        assert any(torch.equal(mask, lent) for lent in dilated[own])
    again, other = (to_train_on(stored, chosen.view, seed, "organs").masks for seed in (0, 1))
    assert torch.equal(seen.masks, again)
    assert not torch.equal(seen.masks, other)


def test_one_image_of_a_class_with_a_mask_does_not_end_the_lending(tmp_path):
    masks = [block(k % 9, 3) if k % 2 or k == 4 else None for k in range(36)]
    chosen = config(write(tmp_path / "set", masks), actdiff=1.0, masks_without="borrowed")
    assert to_train_on(stored_train(chosen), chosen.view, 0, "set").has_mask.all()


@pytest.mark.parametrize(
    "settings",
    [
        {"classify_masked": "all"},
        {"actdiff": 1.0, "masks": 0.5},
        {"classify_masked": "train", "image_size": 12},
    ],
    ids=str,
)
def test_borrowed_masks_are_the_same_streamed(organs, tmp_path, monkeypatch, settings):
    chosen = config(organs, masks_without="borrowed", **settings)
    [resident] = train(chosen, out=tmp_path / "resident")
    stream(monkeypatch)
    [streamed] = train(chosen, out=tmp_path / "streamed")
    assert_same_run(resident.folder, streamed.folder)
    shares = [json.loads((run.folder / "run.json").read_text()) for run in (resident, streamed)]
    assert shares[0]["mask_shares"] == shares[1]["mask_shares"]
    assert (
        shares[0]["mask_presence"]
        == shares[1]["mask_presence"]
        == {
            "auc": 0.5,
            "chance_distance": pytest.approx(0 if settings.get("masks", 1) == 1 else 0.2829, abs=1e-3),
        }
    )


def test_borrowed_masks_cut_what_is_judged_only_where_everything_is_masked(organs):
    everywhere = config(organs, classify_masked="all", masks_without="borrowed")
    for samples in load_splits(everywhere, 0).values():
        assert samples.has_mask.all()
        assert not (samples.images * ~samples.masks).any()
    trained = to_train_on(stored_train(everywhere), everywhere.view, 0, "organs")
    assert torch.equal(load_splits(everywhere, 0)["train"].masks, trained.masks)
    in_training = config(organs, classify_masked="train", masks_without="borrowed")
    assert not load_splits(in_training, 0)["test"].has_mask.all()


def test_borrowing_is_refused_where_it_has_no_effect(crosses, organs):
    for settings, message in (
        ({}, "unless an objective of this run looks at masks"),
        ({"gradmask": 1.0, "mask": "circle", "mask_blur": 0.0}, "every image has a mask"),
    ):
        with pytest.raises(UsageError, match=f"masks_without has no effect.*{message}"):
            config(organs, masks_without="borrowed", **settings)
    for data in (crosses, Path("synthetic")):
        with pytest.raises(
            DataError, match="has no effect, as every training image has a mask; leave it out"
        ):
            facts(data, actdiff=1.0, masks_without="borrowed")


def test_with_no_mask_to_lend_nothing_is_lent():
    view = View(masks_without="borrowed", masks=0.0)
    kept, shown = training_masks(torch.tensor([0, 1] * 3), torch.tensor([False, True] * 3), view, 0, "set")
    assert not kept.any()
    assert torch.equal(shown, torch.arange(6))


def test_names_show_the_borrowing():
    chosen = make_config(preset="liver", classify_masked="train", masks_without="borrowed")
    assert run_name(chosen) == "liver-resnet18-classify-masked-borrowed-masks"
    assert method_name(chosen) == "Classify Masked, borrowed masks"
    assert baseline(chosen) == make_config(preset="liver")
    assert paper_cell(changed(chosen, masks_without="whole")) is not None
    assert paper_cell(chosen) is None


def test_a_telling_presence_is_said_by_training_evaluation_and_tables(organs, tmp_path, capsys):
    told = Told()
    runs = {"plain": {}, "masked": {"classify_masked": "train"}}
    runs["lent"] = {**runs["masked"], "masks_without": "borrowed"}
    for name, settings in runs.items():
        train(
            config(
                organs,
                preset="cardiac",
                split_policy="given",
                augment="none",
                image_size=0,
                mask_blur=0.5,
                train_images=0,
                valid_images=0,
                test_images=0,
                **settings,
            ),
            out=tmp_path / "runs" / name,
            progress=told,
        )
    [note] = told.notes
    assert "tells its class: AUC 1.00 of the mask's presence alone on the 12 training images" in note
    assert "masks_without borrowed" in note
    found = {name: evaluate_checkpoint(tmp_path / f"runs/{name}/seed-0/best.safetensors") for name in runs}
    assert [len(found[name].mask_notes) for name in runs] == [0, 1, 0]
    assert "AUC 1.00 of the mask's presence alone on the training images" in found["masked"].mask_notes[0]
    print_tables([found["masked"]])
    assert found["masked"].mask_notes[0] in capsys.readouterr().out
    [written] = to_json([found["masked"]])["checkpoints"]
    assert written["mask_presence"]["auc"] == 1.0
    notes = summarise(find_runs([tmp_path / "runs"])).notes
    [said] = [one for one in notes if "mask" in one and "tells its class" in one]
    assert "ResNet" not in said
    assert "CNN Classify Masked 1.00;" in said
    assert "borrowed masks" not in said.split(";")[0]
    description = tmp_path / "runs/masked/seed-0/run.json"
    old = json.loads(description.read_text())
    del old["mask_presence"]
    description.write_text(json.dumps(old))
    [said] = [one for one in summarise(find_runs([tmp_path / "runs"])).notes if "earlier version" in one]
    assert "CNN Classify Masked; train them anew" in said
    judged, earlier = evaluate_checkpoint(tmp_path / "runs/masked/seed-0/best.safetensors").mask_notes
    assert "on the images judged here" in judged
    assert "an earlier version" in earlier

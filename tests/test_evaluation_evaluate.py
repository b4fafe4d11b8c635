import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_checkpoints import SIDE, samples_of, tiny_checkpoint, write_checkpoint

from activmask.evaluation.across_seeds import across_seeds, to_json
from activmask.evaluation.batch import evaluate_checkpoint
from activmask.evaluation.evaluate import evaluate
from activmask.evaluation.localisation import METRICS, relevance_mass
from activmask.evaluation.scores import score_report
from activmask.evaluation.spread import Spread, spread
from activmask.ground.errors import CheckpointError, DataError, UsageError
from activmask.runs.checkpoint_paths import find_checkpoints, run_folder
from activmask.saliency.attribution import attribute
from activmask.saliency.explain import explain
from activmask.saliency.inputs import Inputs
from activmask.training.replicas.predictions import predict


def random_samples(n=24, side=SIDE, channels=1, sites=""):
    generator = torch.Generator().manual_seed(1)
    masks = torch.zeros(n, 1, side, side, dtype=torch.bool)
    masks[:, :, 3:9, 3:9] = True
    images = torch.rand(n, channels, side, side, generator=generator)
    return samples_of(images, masks, [i % 2 for i in range(n)], sites)


def test_an_evaluation_is_whole_repeatable_and_json(tmp_path):
    checkpoint, samples = tiny_checkpoint(tmp_path), random_samples(sites="a" * 12 + "b" * 12)
    result = evaluate(checkpoint, samples, seed=3)
    assert evaluate(checkpoint, samples, seed=3) == result
    assert result.scores.n == result.audit.n == result.localisation.n == 24
    assert [site.site for site in result.sites] == ["a", "b"]
    assert [row.metric for row in result.localisation.rows] == list(METRICS)
    plain = result.to_json()
    assert json.loads(json.dumps(plain, allow_nan=False))["scores"]["auc"] == result.scores.auc


def test_localisation_is_that_of_the_contrast_gradient(tmp_path):
    checkpoint, samples = tiny_checkpoint(tmp_path), random_samples()
    maps = attribute(checkpoint.model, samples.images, method="contrast")
    expected = relevance_mass(maps.double().numpy(), samples.masks[:, 0].numpy())
    row = evaluate(checkpoint, samples, seed=0).localisation.rows[0]
    assert row.mean == pytest.approx(expected.values.mean())
    assert row.chance == pytest.approx(36 / SIDE**2)


@pytest.mark.parametrize(
    ("classes", "contrast"), [(2, "contrast |y1 - y0|,"), (3, "contrast highest logit minus the next,")]
)
def test_what_was_attributed_is_named_for_any_number_of_classes(tmp_path, classes, contrast):
    checkpoint, samples = tiny_checkpoint(tmp_path, classes=classes), random_samples()
    labels = torch.arange(24) % classes
    evaluation = evaluate(checkpoint, dataclasses.replace(samples, labels=labels), seed=0)
    assert contrast in evaluation.localisation.attribution


@pytest.mark.parametrize("model", ["cnn", "resnet18"])
def test_where_a_network_looks_is_measured_as_it_is_drawn(tmp_path, model):
    checkpoint, samples = tiny_checkpoint(tmp_path, model=model), random_samples()
    names = tuple(Path(name) for name in samples.names)
    inputs = Inputs(paths=names, images=samples.images, masks=samples.masks[:, 0])
    shares = [one.share_inside for one in explain(checkpoint, inputs, method="contrast")]
    assert evaluate(checkpoint, samples, seed=0).localisation.rows[0].mean == np.mean(shares)


def test_where_a_network_looks_is_the_gradient_of_its_contrast_to_the_bit(tmp_path):
    checkpoint, samples = tiny_checkpoint(tmp_path, classes=3), random_samples()
    inputs = samples.images.clone().requires_grad_()
    first, second = checkpoint.model(inputs, reconstruct=False).logits.topk(2, dim=1).values.unbind(dim=1)
    (gradient,) = torch.autograd.grad((first - second).sum(), inputs)
    maps = attribute(checkpoint.model, samples.images, method="contrast")
    assert torch.equal(maps, gradient.abs().mean(dim=1))


def test_the_contrast_gradient_equals_finite_differences_in_float64(tmp_path):
    model, image = tiny_checkpoint(tmp_path).model.double(), random_samples(1).images.double()
    gradient = attribute(model, image, method="contrast")
    for row, column in ((10, 10), (5, 7), (20, 12)):
        nudge = torch.zeros_like(image)
        nudge[..., row, column] = 1e-5
        ends = [model(image + sign * nudge).logits for sign in (1, -1)]
        slope = [(logits[0, 1] - logits[0, 0]).item() for logits in ends]
        assert gradient[0, row, column].item() == pytest.approx(abs(slope[0] - slope[1]) / 2e-5, rel=1e-4)


def test_a_site_of_one_class_has_an_accuracy_but_no_auc(tmp_path):
    samples = random_samples(sites="ab" * 12)
    rows = evaluate(tiny_checkpoint(tmp_path), samples, seed=0).sites
    assert [(row.site, row.n, row.auc) for row in rows] == [("a", 12, None), ("b", 12, None)]
    assert [row.interval for row in rows] == [None, None]


def test_the_auc_of_a_site_has_the_interval_that_it_would_have_alone(tmp_path):
    checkpoint, samples = tiny_checkpoint(tmp_path), random_samples(sites="a" * 14 + "b" * 10)
    of_sites = evaluate(checkpoint, samples, seed=3).sites
    for row, part in zip(of_sites, (slice(0, 14), slice(14, 24)), strict=True):
        labels, subjects = samples.labels[part], samples.subjects[part]
        alone = score_report(predict(checkpoint.model, samples.images[part]), labels, subjects, seed=3)
        assert (row.n, row.auc, row.interval) == (alone.n, alone.auc, alone.interval)
        assert row.interval.low < row.auc < row.interval.high


def test_images_without_a_site_make_no_site_rows(tmp_path):
    assert evaluate(tiny_checkpoint(tmp_path), random_samples(), seed=0).sites == ()


def test_images_without_masks_are_scored_but_neither_audited_nor_localised(tmp_path):
    samples = random_samples()
    samples = dataclasses.replace(samples, has_mask=torch.zeros(24, dtype=torch.bool))
    result = evaluate(tiny_checkpoint(tmp_path), samples, seed=0)
    assert result.scores.auc is not None
    assert result.audit.reason is not None
    assert (result.localisation.n, result.localisation.rows) == (0, ())
    json.dumps(result.to_json(), allow_nan=False)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (random_samples(side=32), "32 x 32 px with 1 channel but .* 28 x 28 px with 1 channel;"),
        (random_samples(channels=3), "28 x 28 px with 3 channels but"),
        (
            dataclasses.replace(random_samples(), labels=torch.arange(24)),
            "2.png has label 2 .* classes 0 to 1",
        ),
        (random_samples().subset([]), "no images to evaluate"),
    ],
)
def test_data_the_network_was_not_made_for_is_refused(tmp_path, samples, message):
    with pytest.raises(DataError, match=message):
        evaluate(tiny_checkpoint(tmp_path), samples, seed=0)


def test_weights_that_are_not_finite_are_refused(tmp_path):
    checkpoint = tiny_checkpoint(tmp_path)
    with torch.no_grad():
        next(checkpoint.model.parameters()).fill_(float("nan"))
    with pytest.raises(CheckpointError, match="not finite"):
        evaluate(checkpoint, random_samples(), seed=0)


def test_three_classes_are_evaluated(tmp_path):
    samples = dataclasses.replace(random_samples(), labels=torch.arange(24) % 3)
    result = evaluate(tiny_checkpoint(tmp_path, classes=3), samples, seed=0)
    assert result.scores.auc_kind == "macro one-vs-rest ROC AUC"
    assert len(result.audit.rows) == 3


def test_find_checkpoints_by_file_seed_run_and_tree(tmp_path):
    wanted = [tmp_path / "runs" / run / f"seed-{k}" / "best.safetensors" for run in "ab" for k in (2, 10)]
    for path in wanted:
        path.parent.mkdir(parents=True)
        path.touch()
    assert find_checkpoints(wanted[0]) == wanted[:1]
    assert find_checkpoints(wanted[1].parent) == wanted[1:2]
    assert find_checkpoints(tmp_path / "runs" / "b") == wanted[2:]
    assert find_checkpoints(tmp_path) == wanted
    assert run_folder(wanted[0]) == tmp_path / "runs" / "a"
    assert run_folder(tmp_path / "best.safetensors") is None


def test_find_checkpoints_says_what_is_missing(tmp_path):
    with pytest.raises(CheckpointError, match="holds no checkpoint: expected seed-<k>/best"):
        find_checkpoints(tmp_path)
    with pytest.raises(CheckpointError, match="nowhere does not exist"):
        find_checkpoints(tmp_path / "nowhere")


def test_spread_over_seeds():
    assert spread([0.5, None, 1.0]) == Spread(0.75, pytest.approx(np.sqrt(0.125)), 2)
    assert spread([0.5]) == Spread(0.5, None, 1)
    assert spread([None]) is None


def test_seeds_of_a_run_are_gathered_and_kinds_kept_apart(tmp_path):
    names = [("a", 0, "best"), ("a", 1, "best"), ("a", 1, "last"), ("b", 0, "best")]
    paths = [tmp_path / run / f"seed-{k}" / f"{kind}.safetensors" for run, k, kind in names]
    evaluated = [
        evaluate_checkpoint(write_checkpoint(path, seed=int(path.parent.name[-1])), split="valid")
        for path in paths
    ]
    (row,) = across_seeds(evaluated)
    assert (row.run, row.kind, row.seeds) == (tmp_path / "a", "best", 2)
    assert row.auc is not None
    assert row.auc.mean == pytest.approx(sum(one.evaluation.scores.auc for one in evaluated[:2]) / 2)
    full = [one.evaluation.audit.rows[0].auc for one in evaluated[:2]]
    assert row.audit["full"].mean == pytest.approx(sum(full) / 2)
    pixel = [one.evaluation.localisation.rows[0] for one in evaluated[:2]]
    assert row.localisation[pixel[0].metric].mean == pytest.approx(sum(p.mean for p in pixel) / 2)
    assert row.chance[pixel[0].metric] == pytest.approx(sum(p.chance for p in pixel) / 2)
    written = json.loads(json.dumps(to_json(evaluated), allow_nan=False))
    assert len(written["checkpoints"]) == 4
    assert written["runs"][0]["auc"]["n"] == 2


def test_an_unknown_split_suggests_the_nearest(tmp_path):
    with pytest.raises(UsageError, match="no split 'tset'; did you mean 'test'"):
        evaluate_checkpoint(tmp_path / "none", split="tset")


def test_folders_stand_for_the_epoch_that_is_asked_for(tmp_path):
    seed = tmp_path / "run" / "seed-0"
    seed.mkdir(parents=True)
    for name in ("best", "last"):
        (seed / f"{name}.safetensors").touch()
    assert find_checkpoints(tmp_path, "last") == find_checkpoints(seed, "last") == [seed / "last.safetensors"]

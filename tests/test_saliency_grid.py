from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_checkpoints import samples_of, tiny_config

from activmask.ground.errors import DataError, UsageError
from activmask.report.charts.chart import MUTED, drawing, svg
from activmask.report.charts.saliency_grid import _chart, _draw, overlay, saliency_grid
from activmask.report.findings.gallery import Gallery, _pick, look
from activmask.report.findings.looks import Look, Shown
from activmask.runs.checkpoint import load_checkpoint
from activmask.runs.description import changed
from activmask.runs.names import data_name
from activmask.runs.results import find_runs
from activmask.training.feed.sources import load_splits
from activmask.training.run import train

METHODS = ("Classify", "Actdiff", "Gradmask", "Actdiff & Gradmask", "Classify Masked", "Reconstruct Masked")
CHOICE = {"images": 2, "seed": None, "epoch": "last", "top": 0.1}


@pytest.fixture(scope="module")
def runs(crosses, tmp_path_factory):
    """A CNN and two autoencoders; seed 1 is the lowest that all have finished."""
    out = tmp_path_factory.mktemp("runs")
    wanted = {
        "cnn": ({"model": "cnn"}, (0, 1)),
        "ae": ({"model": "ae", "recon": 1.0}, (1,)),
        "ae-masked": ({"model": "ae", "recon": 1.0, "recon_masked": True}, (0, 1)),
    }
    for name, (settings, seeds) in wanted.items():
        train(tiny_config(data=str(crosses), lr=1e-3, **settings), seeds=seeds, out=out / name)
    return find_runs([out])


def named(runs, *names):
    return [run for run in runs if run.folder.name in names]


def made_look(seed=0, side=28, top=0.1, decoded=False, masked=True):
    rng = np.random.default_rng(seed)
    image, heat = rng.random((2, side, side), dtype=np.float32)
    mask = np.zeros((side, side), dtype=bool)
    mask[5:15, 5:15] = True
    given = mask if masked else None
    shown = Shown(name="a.png", label=1, image=image, given=given, dilated=given)
    return Look(
        shown=shown,
        image=image,
        predicted=1,
        top=heat >= np.quantile(heat, 1 - top),
        reconstruction=image if decoded else None,
    )


def made_gallery(rows, columns, count=2, preset="synthetic"):
    looks = {(row, column): (made_look(),) * count for row in rows for column in columns}
    shown = (made_look().shown,) * count
    return Gallery(
        preset=preset,
        rows=rows,
        columns=columns,
        shown=shown,
        looks=looks,
        seeds=(0,),
        notes=(),
    )


def pictures(figure):
    return [picture.get_array() for axes in figure.axes for picture in axes.get_images()]


def frames(figure):
    return [patch for axes in figure.axes for patch in axes.patches]


def words(figure):
    """What stands in cells or under them."""
    return [text for axes in figure.axes for text in axes.texts]


def said(figure):
    return {text.get_text() for text in words(figure)}


def dashes(figure):
    return sum(text.get_text() == "–" for text in words(figure))


def test_every_cell_shows_the_same_images_of_both_classes(runs, crosses):
    gallery = look(runs, **CHOICE)
    valid = load_splits(tiny_config(data=str(crosses)), 1)["valid"]
    assert [shown.label for shown in gallery.shown] == [1, 0]
    assert gallery.seeds == (1,)
    for looks in gallery.looks.values():
        for one, shown in zip(looks, gallery.shown, strict=True):
            place = valid.names.index(shown.name)
            assert one.shown.name == shown.name
            np.testing.assert_array_equal(one.image, valid.images[place, 0])
            np.testing.assert_array_equal(shown.dilated, valid.masks[place, 0])
            assert shown.given.sum() < shown.dilated.sum()


def test_the_last_epochs_network_is_asked_where_the_contrast_changes(runs):
    run = named(runs, "cnn")[0]
    network = load_checkpoint(run.folder / "seed-0" / "last.safetensors").model.double()
    one = look([run], **CHOICE).looks["CNN", "Classify"][0]
    pixels = torch.from_numpy(one.shown.image).double()[None, None].requires_grad_()
    logits = network(pixels).logits[0]
    (slope,) = torch.autograd.grad(logits[1] - logits[0], pixels)
    highest = np.sort(slope.abs().numpy(), axis=None)[-78]
    expected = slope[0, 0].abs().numpy() >= highest * (1 - 1e-6)
    np.testing.assert_array_equal(one.top, expected)
    assert one.inside == pytest.approx(one.shown.dilated[expected].mean())
    assert one.right == (int(logits.argmax()) == one.shown.label)


def test_best_epoch_is_read_from_its_own_file(runs, tmp_path):
    out = tmp_path / "cnn"
    train(replace(named(runs, "cnn")[0].config), seeds=(0,), out=out)
    (out / "seed-0" / "last.safetensors").unlink()
    assert look(find_runs([out]), **{**CHOICE, "epoch": "best"}).looks
    with pytest.raises(DataError, match=r"no network of .* can be shown; CNN Classify is missing: .*last"):
        look(find_runs([out]), **CHOICE)


def test_the_overlay_marks_as_many_pixels_as_were_asked_for():
    one = made_look()
    picture = overlay(one)
    coloured = (picture.max(axis=2) - picture.min(axis=2)) > 1e-9
    assert coloured.sum() == one.top.sum() == 79
    np.testing.assert_array_equal(coloured, one.top)
    assert picture.min() >= 0
    assert picture.max() <= 1


def test_what_was_not_trained_is_a_dash_and_only_decoders_decode(runs):
    chart = saliency_grid(runs, images=1)
    # Rows CNN, Conv AE and decoded, columns Classify and Reconstruct Masked, and the input's three.
    assert len(frames(chart.figure)) == 3 * 2 + 3 - 1
    assert dashes(chart.figure) == 1
    assert len(pictures(chart.figure)) == 3 * 2 + 3 - 1
    assert "Decoded" in chart.caption
    lone = saliency_grid(named(runs, "cnn"), images=1)
    assert len(pictures(lone.figure)) == 1 + 3
    assert dashes(lone.figure) == 0
    assert "Decoded" not in lone.caption


def test_words_give_the_numbers_of_every_cell(runs):
    gallery = look(runs, **CHOICE)
    chart = saliency_grid(runs)
    assert (chart.name, chart.title) == ("saliency", "Where the networks look, Crosses")
    for (row, column), looks in gallery.looks.items():
        for one in looks:
            verdict = "right" if one.right else "wrong"
            told = f"{column} {one.inside:.0%} (class {one.predicted}, {verdict})"
            assert row in chart.alt
            assert told in chart.alt
    assert f"the dilated mask has {gallery.shown[0].dilated.mean():.0%} of the pixels" in chart.alt
    assert "after the last epoch (seed 1)" in chart.caption
    assert all(shown.name in chart.caption for shown in gallery.shown)


@pytest.mark.parametrize(
    ("preset", "data", "kind"),
    [
        ("xray", "data/xray", "figure-5a"),
        ("liver", "my/Liver", "figure-4"),
        ("xray", "data/mine", "saliency"),
    ],
)
def test_only_the_papers_data_set_has_the_name_of_its_figure(preset, data, kind):
    gallery = made_gallery(("CNN",), METHODS[:1], preset=preset)
    assert _chart(data_name(tiny_config(data=data)), gallery, 0.1, "last").kind == kind


def test_runs_without_a_common_seed_still_share_a_given_split(runs):
    apart = [
        replace(run, metrics={seed: run.metrics[seed]})
        for run, seed in zip(named(runs, "cnn", "ae-masked"), (0, 1), strict=True)
    ]
    gallery = look(apart, **CHOICE)
    assert gallery.seeds == (0, 1)
    assert gallery.shown
    assert gallery.notes == ("No seed is finished in all runs, so each shows its lowest.",)


def test_images_drawn_from_different_seeds_are_not_taken_for_the_same(tmp_path):
    for seed, settings in ((0, {}), (1, {"cutout": 3})):
        train(tiny_config(**settings), seeds=(seed,), out=tmp_path / str(seed))
    runs = find_runs([tmp_path])
    gallery = look(runs, **CHOICE)
    assert gallery.shown == ()
    assert "The runs share no validation image, so each cell shows its own." in gallery.notes
    first, other = (looks[0].image for looks in gallery.looks.values())
    assert (first != other).any()
    chart = saliency_grid(runs)
    assert len(frames(chart.figure)) == 2 * 2
    assert "Image 2 of each network" in chart.alt


def test_repeated_experiments_and_fewer_masks_are_left_out(runs):
    run = named(runs, "cnn")[0]
    fewer = replace(run, config=changed(run.config, actdiff=1.0, masks=0.5))
    gallery = look([run, replace(run), fewer], **CHOICE)
    assert gallery.columns == ("Classify",)
    assert gallery.notes == ("Left out: 1 run that repeats another.",)
    longer = replace(run, config=changed(run.config, epochs=9))
    assert look([run, longer], **CHOICE).columns == ("Classify (epochs 1)", "Classify (epochs 9)")
    assert look([fewer], **CHOICE).columns == ("Actdiff, 50% of masks",)


def test_methods_and_models_stand_in_the_papers_order(runs):
    run = named(runs, "cnn")[0]
    methods = (
        {"gradmask": 1.0},
        {"cutout": 5},
        {},
        {"actdiff": 1.0, "actdiff_norm": "layer"},
        {"actdiff": 1.0},
    )
    mixed = [replace(run, config=changed(run.config, **method)) for method in methods]
    gallery = look([*named(runs, "ae"), *mixed], images=1, seed=1, epoch="last", top=0.1)
    assert gallery.rows == ("CNN", "Conv AE")
    assert gallery.columns == ("Classify", "Actdiff, layer", "Actdiff", "Gradmask", "Cutout 5")


@given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=1, max_size=12), st.integers(1, 5))
def test_images_are_picked_from_the_classes_in_turn_with_masks_first(kinds, number):
    n = len(kinds)
    labels = [label for label, _ in kinds]
    samples = samples_of(torch.zeros(n, 1, 2, 2), torch.ones(n, 1, 2, 2, dtype=torch.bool), labels)
    samples = replace(samples, has_mask=torch.tensor([masked for _, masked in kinds]))
    picked = [samples.names.index(name) for name in _pick(samples, set(samples.names), number)]
    usable = [i for i in range(n) if kinds[i][1]] or list(range(n))
    assert len(set(picked)) == len(picked) == min(number, len(usable))
    assert set(picked) <= set(usable)
    counts = [sum(labels[i] == label for i in picked) for label in range(3)]
    left = [sum(labels[i] == label for i in usable) - counts[label] for label in range(3)]
    assert all(counts[a] <= counts[b] + 1 for a in range(3) for b in range(3) if left[b] > 0)


@pytest.mark.process
@pytest.mark.parametrize(
    ("rows", "columns"), [(("CNN",), METHODS[:1]), (("CNN", "Conv AE", "UNet", "ResNet"), METHODS)]
)
def test_no_words_overlap_and_cells_are_large_enough(rows, columns):
    with drawing():
        figure = _draw(made_gallery(rows, columns))
        figure.draw_without_rendering()
        boxes = [text.get_window_extent() for text in [*figure.texts, *words(figure)] if text.get_text()]
        cells = [frame.get_window_extent() for frame in frames(figure)]
    assert all(not one.overlaps(other) for one, other in combinations(boxes, 2))
    assert all(not box.overlaps(frame) for box in boxes for frame in cells)
    assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 for box in boxes)
    assert all(figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1 for box in boxes)
    assert min(frame.width for frame in cells) >= 0.9 * figure.dpi


def test_an_image_without_a_mask_has_neither_outline_nor_share(runs):
    one = made_look(masked=False)
    gallery = replace(
        made_gallery(("CNN",), ("Classify",), count=1),
        shown=(one.shown,),
        looks={("CNN", "Classify"): (one,)},
    )
    with drawing():
        figure = _draw(gallery)
    assert not any(axes.collections for axes in figure.axes)
    assert len(pictures(figure)) == 2
    assert said(figure) == {"image", "1 right, no mask"}


def test_a_network_without_any_gradient_is_called_blank():
    one = replace(made_look(), top=np.zeros((28, 28), dtype=bool))
    assert one.inside is None
    with drawing():
        figure = _draw(
            replace(made_gallery(("CNN",), ("Classify",), count=1), looks={("CNN", "Classify"): (one,)})
        )
    assert "1 right, blank" in said(figure)


def test_the_vector_file_holds_pictures_and_words_in_ink(runs):
    text = svg(saliency_grid(named(runs, "cnn")))
    assert text.count("<image") >= 2 * 4
    assert MUTED in text
    assert "Classify" in text
    assert len(text) < 200_000


def test_unusable_requests_and_missing_data_are_named(runs, tmp_path):
    for wrong in ({"images": 0}, {"top": 0.0}, {"top": 1.5}):
        with pytest.raises(UsageError, match="images must be at least 1 and top above 0"):
            saliency_grid(runs, **wrong)
    with pytest.raises(UsageError, match=r"no run of .* has finished seed 7"):
        saliency_grid(runs, seed=7)
    elsewhere = {"folder": tmp_path / "run", "config": tiny_config(data=str(tmp_path / "gone"))}
    gone = [replace(run, **elsewhere) for run in runs]
    with pytest.raises(DataError, match="gone does not exist"):
        saliency_grid(gone)
    assert saliency_grid([replace(run, metrics={}) for run in runs]) is None

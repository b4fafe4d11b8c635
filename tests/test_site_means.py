from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from dataset_records import record
from PIL import Image
from tiny_checkpoints import tiny_config

from activmask.data.dataset import read_dataset
from activmask.data.settings import Source, View
from activmask.data.writer import write_dataset
from activmask.ground.errors import DataError
from activmask.report.charts.chart import Chart, svg
from activmask.report.charts.site_means import site_means
from activmask.report.findings import site_means as module
from activmask.report.findings.site_means import SiteMean, mean_by_site
from activmask.runs.description import changed
from activmask.runs.results import Run
from activmask.training.feed.sources import split_rows

SIDE = 12
SITES = ("oslo", "bergen")


def write(root, sites=SITES, n=34):
    """Noise, brighter in the leftmost column at the first site; two thirds of the images train."""
    made = []
    for i in range(n):
        image = np.random.default_rng(i).integers(0, 150, (SIDE, SIDE), dtype=np.uint8)
        image[:, :3] += np.uint8(100 * (i // 2 % len(sites) == 0))
        mask = np.zeros((SIDE, SIDE), dtype=bool)
        mask[4:8, 4:8] = True
        split = ("train", "train", "valid", "test")[i // (2 * len(sites)) % 4]
        made.append(
            record(i, image=image, mask=mask, subject=str(i), site=sites[i // 2 % len(sites)], split=split)
        )
    write_dataset(root, made, card={})
    return root


def a_run(root, seeds=(0,), **settings):
    return Run(
        folder=Path("runs/x"), config=tiny_config(data=str(root), **settings), metrics={s: {} for s in seeds}
    )


def pictures(chart: Chart) -> list[np.ndarray]:
    return [axes.get_images()[0].get_array() for axes in chart.figure.axes if axes.get_images()]


def stored_training_images(root, site):
    lines = (root / "metadata.csv").read_text(encoding="utf-8").splitlines()
    columns = lines[0].split(",")
    rows = [dict(zip(columns, line.split(","), strict=True)) for line in lines[1:]]
    chosen = [row for row in rows if row["split"] == "train" and row["site"] == site]
    return [np.asarray(Image.open(root / row["file_name"]), dtype=np.float64) / 255 for row in chosen]


def training_means(root: Path, seed: int = 0, image_size: int = 0, **of_source) -> list[SiteMean]:
    dataset = read_dataset(root)
    rows = split_rows(Source(data=str(root), **of_source), dataset, seed)["train"]
    return mean_by_site(dataset, rows, View(image_size=image_size))


@pytest.fixture(scope="module")
def two_sites(tmp_path_factory):
    return write(tmp_path_factory.mktemp("sites") / "xrays")


@pytest.mark.parametrize("batch", [1, 5, 64])
def test_means_equal_those_of_the_files(two_sites, monkeypatch, batch):
    monkeypatch.setattr(module, "BATCH", batch)
    means = training_means(two_sites, image_size=8)
    assert [mean.site for mean in means] == ["bergen", "oslo"]
    for mean in means:
        images = stored_training_images(two_sites, mean.site)
        assert mean.count == len(images)
        np.testing.assert_allclose(mean.image, np.mean(images, axis=0)[2:10, 2:10], atol=1e-7)


def test_no_more_than_a_batch_is_in_memory(two_sites, monkeypatch):
    read = []
    load = module.load_samples

    def counting(dataset, indices):
        read.append(len(indices))
        return load(dataset, indices)

    monkeypatch.setattr(module, "BATCH", 7)
    monkeypatch.setattr(module, "load_samples", counting)
    training_means(two_sites)
    assert max(read) <= 7
    assert sum(read) == sum(len(stored_training_images(two_sites, site)) for site in SITES)


def test_masked_training_shows_the_same_means(two_sites):
    plain, masked = (site_means([a_run(two_sites, **method)]) for method in ({}, {"classify_masked": "all"}))
    assert plain.alt == masked.alt
    for one, other in zip(pictures(plain), pictures(masked), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_split_follows_the_lowest_finished_seed_or_its_own(two_sites):
    settings = {"split_policy": "subject", "split_ratio": "40/30/30"}
    own = training_means(two_sites, 3, **settings)
    apart = training_means(two_sites, split_seed=3, **settings)
    other = training_means(two_sites, **settings)
    np.testing.assert_array_equal(own[0].image, apart[0].image)
    assert (own[0].image != other[0].image).any()
    chart = site_means([a_run(two_sites, seeds=(3, 5), **settings)])
    assert "(split of seed 3;" in chart.caption
    np.testing.assert_array_equal(pictures(chart)[0], own[0].image)


def test_the_chart_draws_the_means_and_their_difference(two_sites):
    chart = site_means([a_run(two_sites), a_run(two_sites, actdiff=1.0)])
    means = training_means(two_sites)
    for one, expected in zip(
        pictures(chart), (means[0].image, means[1].image, means[0].image - means[1].image), strict=True
    ):
        np.testing.assert_array_equal(one, expected)
    titles = [axes.get_title() for axes in chart.figure.axes if axes.get_images()]
    assert titles == ["bergen\n8 images", "oslo\n10 images", "bergen\nminus oslo"]
    low, high = chart.figure.axes[2].get_images()[0].get_clim()
    assert low == -high
    assert chart.title == "Mean image per site, Xrays"
    assert "bergen: 4 of class 0, 4 of class 1; oslo: 5 of class 0, 5 of class 1" in chart.caption
    assert "oslo" in svg(chart)


def test_the_alternative_text_says_where_the_sites_differ(two_sites):
    chart = site_means([a_run(two_sites)])
    bergen, oslo = (np.mean(stored_training_images(two_sites, site), axis=0) for site in ("bergen", "oslo"))
    difference = bergen - oslo
    inner = np.abs(difference[1:-1, 1:-1])
    edge = (np.abs(difference).sum() - inner.sum()) / (difference.size - inner.size)
    assert f"bergen {bergen.mean():.2f}, oslo {oslo.mean():.2f}" in chart.alt
    assert f"between {difference.min():+.2f} and {difference.max():+.2f}" in chart.alt
    assert f"is {edge:.3f} on average at the edge" in chart.alt
    assert f"{inner.mean():.3f} inside" in chart.alt


def test_the_two_largest_of_many_sites_are_compared(tmp_path):
    root = write(tmp_path / "many", sites=("c", "a", "b"), n=50)
    counts = {mean.site: mean.count for mean in training_means(root)}
    assert counts == {"a": 8, "b": 8, "c": 10}
    chart = site_means([a_run(root)])
    assert "a minus c" in chart.caption
    assert len([axes for axes in chart.figure.axes if axes.get_images()]) == 4


def test_without_two_sites_there_is_no_chart(tmp_path, crosses):
    for data in (write(tmp_path / "one", sites=("oslo",)), crosses, "synthetic"):
        assert site_means([a_run(data)]) is None
    assert site_means([]) is None


def test_unfinished_runs_and_missing_data(two_sites, tmp_path):
    assert site_means([a_run(two_sites, seeds=())]) is None
    run = a_run(two_sites)
    with pytest.raises(DataError, match="gone does not exist"):
        site_means([replace(run, config=changed(run.config, data=str(tmp_path / "gone")))])

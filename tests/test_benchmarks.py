"""The benchmarks: they run whole in small, and what they compare does the same work."""

import gc
import json
from pathlib import Path

import pytest
import torch

from activmask.data.dataset import load_samples, read_dataset
from activmask.data.masks import dilate
from activmask.ground.errors import UsageError
from activmask.kernels.activation_distance import reference
from activmask.models.output import ModelOutput
from activmask.objectives.step import step_terms
from activmask.runs.making import make_config
from benchmarks import good_eager, paper_loop, speed, training_contestants
from benchmarks.__main__ import BENCHMARKS
from benchmarks.command import run
from benchmarks.figure import Effort, Figure
from benchmarks.markdown import table_lines
from benchmarks.side_by_side import clocked, race, ratios
from benchmarks.speed_synthetic import SIDE, drawn_one_by_one
from benchmarks.step_profile import epoch_profile

CPU = torch.device("cpu")
EFFORT = Effort(device=CPU, rounds=3)
SMALL = {"width": 2, "batch_size": 8}


def settings(crosses: Path, **objective: object) -> dict[str, object]:
    return {"data": str(crosses), **SMALL, **objective}


@pytest.mark.process
def test_everything_runs_in_small_and_leaves_its_figures(tmp_path, capsys):
    names = [
        *speed.CPU,
        *(set(speed.GPU) - {"gpu-unet-actdiff", "gpu-resnet18-gradmask", "gpu-floor-tf32"}),
    ]
    assert run(BENCHMARKS, ["speed", "--quick", *names, "--out", str(tmp_path / "out")]) == 0
    captured = capsys.readouterr()
    assert "UNet + actdiff" in captured.out
    assert "mean nothing" in captured.out
    assert captured.out == (tmp_path / "out.md").read_text()
    content = json.loads((tmp_path / "out.json").read_text())
    assert content["parts"][0]["commands"][0].startswith("python -m benchmarks speed --quick unet-actdiff")
    assert {row["measured"] for row in content["behind"]} == set(names)
    assert all(row["median"] >= 0 and row["reached"] is None for row in content["behind"])
    assert content["measured"]["versions"]["torch"] == torch.__version__


@pytest.mark.process
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("asked", [["--gpu"], ["saliency", "gpu-floor-128"]])
def test_the_gpu_figures_need_a_device_and_say_so(asked, capsys):
    assert run(BENCHMARKS, ["speed", *asked]) == 2
    assert "needs a CUDA device and there is none here" in capsys.readouterr().err


@pytest.mark.process
@pytest.mark.parametrize(
    ("asked", "words"),
    [(["unet-actdif"], "did you mean 'unet-actdiff'"), (["saliency", "--gpu"], "leave --gpu out")],
)
def test_wrong_figures_are_refused_before_anything_runs(asked, words, capsys):
    assert run(BENCHMARKS, ["speed", *asked]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.process
def test_a_figure_that_fails_takes_no_other_with_it(monkeypatch, tmp_path, capsys):
    def broken(_effort: Effort) -> list[Figure]:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(
        speed, "CPU", {"one": broken, "two": lambda _effort: [Figure(name="fine", values=(2.0,), target=1)]}
    )
    assert run(BENCHMARKS, ["speed", "--out", str(tmp_path / "out")]) == 1
    captured = capsys.readouterr()
    assert "RuntimeError: out of memory" in captured.err
    assert "fine" in captured.out
    [row] = json.loads((tmp_path / "out.json").read_text())["behind"]
    assert row["measured"] == "two"
    assert row["reached"] is True


def test_contestants_take_turns_and_the_warm_up_does_not_count():
    calls: list[str] = []

    def contestant(name: str, speed: float):
        def run() -> float:
            calls.append(name)
            return speed * len(calls)

        return run

    speeds = race({"a": contestant("a", 2.0), "b": contestant("b", 1.0)}, EFFORT, budget_s=60)
    assert calls == ["a", "b", "a", "b", "b", "a", "a", "b"]
    assert speeds == {"a": (6.0, 12.0, 14.0), "b": (4.0, 5.0, 8.0)}
    assert ratios(speeds, "a", "b") == (1.5, 2.4, 1.75)


def test_a_race_stops_at_its_budget_after_one_round_at_least():
    speeds = race({"a": lambda: 1.0}, EFFORT, budget_s=0)
    assert speeds == {"a": (1.0,)}
    assert len(race({"a": lambda: 1.0}, Effort(device=CPU, quick=True), budget_s=60)["a"]) == 1


def test_a_clocked_contestant_gives_work_by_time(monkeypatch):
    ticks = iter([10.0, 14.0])
    monkeypatch.setattr("benchmarks.side_by_side.perf_counter", lambda: next(ticks))
    assert clocked(lambda: 12.0, CPU)() == 3.0


@pytest.mark.parametrize(
    ("values", "target", "at_most", "reached"),
    [
        ((1.0, 5.0, 6.0), 5.0, False, True),
        ((1.0, 4.9, 6.0), 5.0, False, False),
        ((61.0, 59.0, 40.0), 60.0, True, True),
        ((61.0, 61.0, 40.0), 60.0, True, False),
        ((1.0,), None, False, None),
    ],
)
def test_the_median_decides_whether_an_aim_is_reached(values, target, at_most, reached):
    figure = Figure(name="any", values=values, target=target, at_most=at_most)
    assert figure.reached is reached
    assert figure.to_json()["reached"] is reached


def test_a_row_shows_the_spread_and_the_aim():
    figure = Figure(name="UNet", values=(4.0, 1234.0, 16.0), target=5.0, note="sample of 3")
    share = Figure(name="floor", values=(0.4567,), target=0.35, unit="share", precision="bf16", at_most=True)
    _, _, *rows = table_lines(speed.table_of([figure, share])).splitlines()
    assert rows == [
        "| UNet (sample of 3) | fp32 | x | 16 | 4 to 1,234 | 3 | at least 5 | yes |",
        "| floor | bf16 | share | 0.457 | 0.457 to 0.457 | 1 | at most 0.35 | no |",
    ]


def test_the_plain_loop_reads_the_same_images_and_masks(crosses):
    dataset = read_dataset(crosses)
    rows = [i for i, split in enumerate(dataset.splits) if split == "valid"]
    expected = load_samples(dataset, rows)
    grown = dilate(expected.masks, 0.5)
    files = paper_loop.ImageFiles(crosses, "valid", 0.5)
    assert len(files) == len(rows)
    for k, (image, mask, label) in enumerate(files[i] for i in range(len(files))):
        torch.testing.assert_close(image, expected.images[k])
        assert torch.equal(mask, grown[k])
        assert label == expected.labels[k]


@pytest.mark.parametrize("shuffle", [paper_loop.shuffled_one_by_one, good_eager.shuffled_at_once])
def test_both_shuffles_move_the_outside_and_nothing_else(shuffle):
    generator = torch.Generator().manual_seed(0)
    images = torch.arange(3 * 2 * 64.0).reshape(3, 2, 8, 8)
    masks = torch.rand(3, 1, 8, 8, generator=generator) < 0.3
    masks[2] = True
    first, second = shuffle(images, masks, generator), shuffle(images, masks, generator)
    inside = masks.expand_as(images)
    assert torch.equal(first[inside], images[inside])
    assert not torch.equal(first, second)
    assert torch.equal(first[2], images[2])
    assert torch.equal(first[:, 1] - first[:, 0], torch.full((3, 8, 8), 64.0))
    for ours, original in zip(first, images, strict=True):
        assert torch.equal(ours.flatten().sort().values, original.flatten().sort().values)


@pytest.mark.parametrize("objective", [{"model": "unet"}, {"model": "resnet18", "gradmask": 10.0}])
def test_both_yardsticks_compute_the_losses_of_the_package(objective, crosses):
    config = make_config(**settings(crosses, **objective))
    loop = paper_loop.new_paper_loop(config, CPU)
    run = good_eager.new_good_eager(config, CPU)
    images, masks, labels = (part[:8] for part in run.train)
    expected = step_terms(config.objectives, run.model, images, masks, labels, torch.Generator())
    assert good_eager._loss(run, images, masks, labels).item() == pytest.approx(
        expected.loss.item(), rel=1e-5
    )
    values = paper_loop._step(loop, (images, masks, labels))
    for name, term in expected.terms.items():
        assert values[name] == pytest.approx(term.item(), rel=1e-5)


def test_the_plain_distance_is_that_of_the_package_in_its_row_form():
    generator = torch.Generator().manual_seed(0)
    ours, theirs = (
        {"a": torch.randn(2, 3, 4, 4, generator=generator), "b": torch.randn(2, 5, 2, 2, generator=generator)}
        for _ in range(2)
    )
    plain = paper_loop._distance(ModelOutput(ours["a"], None, ours), ModelOutput(ours["a"], None, theirs))
    expected = reference.activation_distance(list(ours.values()), list(theirs.values()), "row")
    assert plain.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize(("collect", "times"), [(True, 6), (False, 0)])
def test_the_plain_loop_collects_memory_every_step_unless_told_not_to(collect, times, crosses, monkeypatch):
    calls: list[int] = []
    monkeypatch.setattr(gc, "collect", lambda: calls.append(0))
    config = make_config(**settings(crosses, model="cnn", actdiff=10.0))
    loop = paper_loop.new_paper_loop(config, CPU, collect=collect)
    before = [parameter.clone() for parameter in loop.model.parameters()]
    assert paper_loop.paper_epoch(loop) == 48
    assert len(calls) == times
    assert not any(torch.equal(a, b) for a, b in zip(before, loop.model.parameters(), strict=True))


def test_seeds_that_can_be_one_network_are_clocked_as_one(crosses, monkeypatch):
    config = make_config(data=str(crosses), model="cnn", width=2, batch_size=16, device="cpu")
    replicas = training_contestants._replicas(config, Effort(device=torch.device("cpu")), 2)
    assert training_contestants._stacked(replicas) is None
    monkeypatch.setattr(training_contestants, "stacks_on", lambda _device: True)
    work = training_contestants._stacked(replicas)
    images = training_contestants.AHEAD * sum(len(replica.train) for replica in replicas)
    assert work() == images
    assert [replica.next_epoch for replica in replicas] == [1 + training_contestants.AHEAD] * 2


def test_images_drawn_one_by_one_are_countable():
    drawn = list(drawn_one_by_one(60))
    assert len(drawn) == 60
    for image, mask, label in drawn:
        assert image.shape == mask.shape == (SIDE, SIDE)
        assert (image & ~mask).sum() == 6
        crosses = 2 - label
        assert mask.sum() in {5 * crosses, 9 * crosses}


@pytest.mark.process
def test_a_profile_accounts_for_all_of_the_time():
    rows = epoch_profile("resnet18-gradmask", Effort(device=CPU, quick=True))
    assert sum(share for *_, share in rows) == pytest.approx(1)
    assert any("conv" in name for name, *_ in rows[:12])
    with pytest.raises(UsageError, match="did you mean 'unet-actdiff'"):
        epoch_profile("unet-actdif", EFFORT)

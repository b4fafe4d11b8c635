"""Training: what a run leaves on disk, and that nothing but its description decides it."""

import csv
import json
import math
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from interrupted_runs import train_interrupted
from objective_settings import each
from PIL import Image
from safetensors.torch import load_file

from activmask.data import dataset
from activmask.data.dataset import read_dataset
from activmask.data.masks import dilate
from activmask.data.settings import Source, View
from activmask.data.view import as_seen
from activmask.ground.errors import CheckpointError, DataError, TrainingDiverged, UsageError
from activmask.machine.device import attention, choose_device, set_up_arithmetic
from activmask.machine.settings_kept import settings_kept
from activmask.models import build
from activmask.runs import manifest
from activmask.runs.checkpoint import load_checkpoint, snapshot
from activmask.runs.making import make_config
from activmask.runs.manifest import file_content
from activmask.runs.selection import is_better, merit
from activmask.training.feed import reading, stream
from activmask.training.feed.reading import Reading
from activmask.training.feed.sources import load_splits, stored_splits
from activmask.training.replicas import advance as advance_module
from activmask.training.replicas import epoch as epoch_module
from activmask.training.replicas import replica as replica_module
from activmask.training.replicas.advance import keep_row
from activmask.training.replicas.predictions import predict, score
from activmask.training.replicas.replica import new_replica
from activmask.training.replicas.state import new_best, restore_state, save_state
from activmask.training.run import train

FILES = ("best.safetensors", "last.safetensors")
RESUMED = (
    "plain",
    "batch norm",
    "actdiff detached",
    "gradmask",
    "reconstruct masked",
    "rrr",
    "expected gradients",
    "adversarial",
    "follow-up in turns",
    "classify masked",
    "classify shuffled",
    "cutout",
    "noise",
    "share of masks",
    "practice",
    "changed by words",
    "drawn alike",
    "dropout",
)


def small(crosses: Path, **settings):
    settings = {"model": "cnn", "width": 4, "epochs": 3, "lr": 1e-3, **settings}
    return make_config(data=str(crosses), **settings)


@pytest.mark.process
@pytest.mark.parametrize(("model", "imported"), [("unet", []), ("resnet18", ["torchvision"])])
def test_training_imports_no_compiler_and_torchvision_only_where_its_network_is(
    crosses, tmp_path, model, imported
):
    code = (
        "import sys\n"
        "from activmask.runs.making import make_config\n"
        "from activmask.training.run import train\n"
        f"config = make_config(model={model!r}, width=2, actdiff=1.0, epochs=1, data={str(crosses)!r}); "
        f"train(config, (0,), {str(tmp_path / 'run')!r}); "
        "print([name for name in ('torchvision', 'torch._dynamo') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(imported)


def test_what_networks_can_do_is_looked_for_in_the_first_seeds(crosses, tmp_path, monkeypatch):
    looked = Counter()

    def count(module, name):
        look = getattr(module, name)

        def counting(*given):
            looked[name] += 1
            return look(*given)

        monkeypatch.setattr(module, name, counting)

    count(build, "_try_out")
    count(replica_module, "_check_taps")
    count(replica_module, "_check_twice_differentiable")
    train(small(crosses, gradmask=1.0, epochs=1), (0, 1, 2), tmp_path / "run")
    assert looked == {"_try_out": 1, "_check_taps": 1, "_check_twice_differentiable": 1}
    # This one looks at what each seed's network computes.
    train(small(crosses, hirescam=1.0, epochs=1), (0, 1, 2), tmp_path / "other")
    assert looked == {"_try_out": 2, "_check_taps": 4, "_check_twice_differentiable": 2}


@pytest.mark.process
def test_the_seeds_of_a_run_read_each_file_once_though_each_splits_the_data_its_own_way(
    crosses, tmp_path, monkeypatch
):
    counts: Counter[str] = Counter()
    for name in ("read_stored", "read_plain_mask"):
        read = getattr(dataset, name)

        def counting(path, name=name, read=read, **how):
            counts[f"{name} {path.name}"] += 1
            return read(path, **how)

        monkeypatch.setattr(dataset, name, counting)

    def content(path):
        counts[f"content {path.parent.name}/{path.name}"] += crosses in path.parents
        return file_content(path)

    def table(root, **how):
        counts["table"] += 1
        return read_dataset(root, **how)

    monkeypatch.setattr(manifest, "file_content", content)
    monkeypatch.setattr(reading, "read_dataset", table)
    config = small(crosses, epochs=1, split_policy="subject")
    together = train(config, seeds=(0, 1, 2), out=tmp_path / "together")
    assert [name for name, count in counts.items() if count != 1] == []
    assert {name.split()[0] for name in counts} == {"read_stored", "read_plain_mask", "content", "table"}
    [alone] = train(config, seeds=(1,), out=tmp_path / "alone")
    of_splits = [(each.folder / "splits.csv").read_bytes() for each in together]
    assert len(set(of_splits)) == 3
    assert of_splits[1] == (alone.folder / "splits.csv").read_bytes()
    assert_same_run(together[1].folder, alone.folder)


def test_a_data_set_that_is_large_as_a_whole_is_not_kept_for_other_seeds(crosses, monkeypatch):
    config, cpu = small(crosses), torch.device("cpu")
    entries = new_replica(config, 0, Path("unused"), cpu).origin.entries
    table = read_dataset(crosses)
    whole = len(table) * table.height * table.width * 5
    for limit, kept in ((whole, 2 * (len(table) - 1)), (whole - 1, 0)):
        monkeypatch.setattr(stream, "RESIDENT_BYTES", limit)
        shared = Reading(decoded={})
        new_replica(config, 0, Path("unused"), cpu, written=entries[1:], reading=shared)
        assert sum(len(own) for own in shared.decoded.values()) == kept


def weights(folder: Path, name: str) -> dict[str, torch.Tensor]:
    return load_file(folder / name)


def history(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [{k: v for k, v in row.items() if k not in {"seconds", "images_per_second"}} for row in rows]


def assert_same_run(one: Path, other: Path) -> None:
    assert history(one) == history(other)
    assert (one / "metrics.json").read_bytes() == (other / "metrics.json").read_bytes()
    for name in FILES:
        left, right = weights(one, name), weights(other, name)
        assert left.keys() == right.keys()
        assert all(torch.equal(left[key], right[key]) for key in left)


@pytest.mark.process
@pytest.mark.parametrize("settings", each(RESUMED))
def test_an_interrupted_run_resumes_to_the_same_bits(crosses, tmp_path, settings):
    config = small(crosses, **settings)
    [straight] = train(config, out=tmp_path / "straight")
    train_interrupted(config, (0,), tmp_path / "resumed", before_epoch=2)
    assert not (tmp_path / "resumed/seed-0/metrics.json").exists()
    [resumed] = train(config, out=tmp_path / "resumed", resume=True)
    assert_same_run(straight.folder, resumed.folder)


def test_the_follow_ups_network_steps_once_in_so_many_batches_and_its_discriminator_in_each(crosses):
    settings = {"adversarial": 1.0, "adversarial_form": "followup", "adversarial_steps": 2, "batch_size": 16}
    replica = new_replica(small(crosses, **settings), 0, crosses, torch.device("cpu"))
    moved: list[tuple[bool, bool]] = []
    for _epoch in range(2):
        before = [
            [p.detach().clone() for p in m.parameters()] for m in (replica.model, replica.discriminator)
        ]
        for _values in epoch_module.training_steps(replica):
            after = [
                [p.detach().clone() for p in m.parameters()] for m in (replica.model, replica.discriminator)
            ]
            pairs = zip(before, after, strict=True)
            moved.append(tuple(not all(map(torch.equal, one, other)) for one, other in pairs))
            before = after
        replica.next_epoch += 1
    # Three batches an epoch; the count goes on over epochs.
    assert [network for network, _ in moved] == [False, True, False, True, False, True]
    assert all(judge for _, judge in moved)


def test_a_best_file_lost_to_a_power_cut_is_written_again(crosses, tmp_path):
    config = small(crosses, epochs=2)
    [straight] = train(config, out=tmp_path / "straight")
    shorter = small(crosses, epochs=1)
    train(shorter, out=tmp_path / "cut")
    folder = tmp_path / "cut/seed-0"
    (folder / "best.safetensors").unlink()
    (folder / "metrics.json").unlink()
    train(config, out=tmp_path / "cut", resume=True)
    assert_same_run(straight.folder, folder)


def test_a_network_in_another_memory_format_resumes_with_its_moments_in_that_format(crosses, tmp_path):
    def channels_last():
        replica = new_replica(small(crosses, model="unet"), 0, tmp_path, torch.device("cpu"))
        replica.model.to(memory_format=torch.channels_last)
        return replica

    replica, again = channels_last(), channels_last()
    # No pass of the network: oneDNN writes beyond its memory for some weights in this format.
    for parameter in replica.model.parameters():
        parameter.grad = torch.randn_like(parameter)
    replica.optimizer.step()
    keep_row(replica, {"epoch": 0, "valid_auc": 0.5}, is_best=True)
    replica.best_weights = snapshot(replica.model)
    save_state(replica, new_best(replica))
    restore_state(again)
    for ours, theirs in zip(again.model.parameters(), replica.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)
        for name, moment in again.optimizer.state[ours].items():
            assert torch.equal(moment, replica.optimizer.state[theirs][name])
            assert moment.ndim == 0 or moment.stride() == ours.stride()


@pytest.mark.process
def test_a_replica_does_not_depend_on_its_neighbours(crosses, tmp_path):
    config = small(crosses, model="resnet18", actdiff=1.0, epochs=2)
    train(config, seeds=(0, 1, 2), out=tmp_path / "together")
    train(config, seeds=(1,), out=tmp_path / "alone")
    assert_same_run(tmp_path / "together/seed-1", tmp_path / "alone/seed-1")


def test_training_leaves_the_global_generators_alone(crosses, tmp_path):
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002 - the global generator is the subject
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    train(small(crosses, model="mobilenet_v3_small", width=64, epochs=1), out=tmp_path / "run")
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002


def test_seeds_differ(crosses, tmp_path):
    one, other = train(small(crosses, epochs=1), seeds=(0, 1), out=tmp_path / "run")
    assert history(one.folder) != history(other.folder)


@pytest.mark.process
@pytest.mark.parametrize(
    ("select", "column", "pick", "rule"),
    [
        ("auc", "valid_auc", max, "highest AUC"),
        ("accuracy", "valid_accuracy", max, "highest accuracy"),
        ("loss", "valid_loss", min, "lowest cross-entropy"),
    ],
)
def test_metrics_are_those_of_the_best_and_the_last_weights(crosses, tmp_path, select, column, pick, rule):
    config = small(crosses, epochs=4, lr=0.01, select=select)
    [result] = train(config, out=tmp_path / "run")
    rows = history(result.folder)
    values = [float(row[column]) for row in rows]
    assert result.metrics["best_epoch"] == values.index(pick(values))
    assert ("valid_loss" in rows[0]) == (select == "loss")
    assert rule in json.loads((result.folder / "run.json").read_text())["selection"]
    found = {"best": result.metrics, "last": result.metrics["last"]}
    for name, epoch in (("best", result.metrics["best_epoch"]), ("last", 3)):
        checkpoint = load_checkpoint(result.folder / f"{name}.safetensors")
        assert checkpoint.epoch == epoch
        for split, samples in load_splits(config, 0).items():
            again = score(predict(checkpoint.model, samples.images), samples.labels)
            assert again.to_json() == found[name][split]
    assert found["last"]["valid"]["auc"] == float(rows[-1]["valid_auc"])


def test_what_selects_decides_between_epochs():
    rows = [
        {"valid_auc": 0.9, "valid_accuracy": 0.5, "valid_loss": 0.4},
        {"valid_auc": 0.8, "valid_accuracy": 0.7, "valid_loss": 0.4},
        {"valid_auc": 0.9 + 1e-15, "valid_accuracy": 0.7, "valid_loss": 0.4 - 1e-15},
    ]
    chosen = {}
    for select in ("auc", "accuracy", "loss"):
        best = -math.inf
        for epoch, row in enumerate(rows):
            if is_better(row, best, select, "valid"):
                chosen[select], best = epoch, merit(row, select, "valid")
    assert chosen == {"auc": 0, "accuracy": 1, "loss": 2}


def test_ties_keep_the_earlier_epoch(crosses, tmp_path):
    [result] = train(small(crosses, lr=1e-12, epochs=3), out=tmp_path / "run")
    assert len({row["valid_auc"] for row in history(result.folder)}) == 1
    assert result.metrics["best_epoch"] == 0


def test_history_names_every_term_and_they_sum_to_the_loss(crosses, tmp_path):
    config = small(crosses, model="unet", actdiff=10.0, gradmask=1.0, epochs=1, eval_train=True)
    [result] = train(config, out=tmp_path / "run")
    [row] = history(result.folder)
    terms = {name: float(value) for name, value in row.items() if name.startswith("loss_")}
    assert list(terms) == ["loss_classify", "loss_actdiff", "loss_gradmask", "loss_recon"]
    assert sum(terms.values()) == pytest.approx(float(row["loss"]), rel=1e-5)
    assert {"train_auc", "train_accuracy", "valid_auc", "valid_accuracy"} <= row.keys()


def test_repeating_a_finished_run_does_nothing(crosses, tmp_path):
    config = small(crosses, epochs=1)
    train(config, out=tmp_path / "run")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")}
    [again] = train(config, out=tmp_path / "run")
    assert not again.trained
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")}


def test_another_run_is_not_mistaken_for_ones_own(crosses, tmp_path):
    train(small(crosses, epochs=1), out=tmp_path / "run")
    with pytest.raises(UsageError, match=r"other settings.*lr"):
        train(small(crosses, epochs=1, lr=0.1), out=tmp_path / "run")
    [anew] = train(small(crosses, epochs=1, lr=0.1), out=tmp_path / "run", overwrite=True)
    assert anew.trained


def test_a_longer_run_continues_a_finished_one(crosses, tmp_path):
    train(small(crosses, epochs=1), out=tmp_path / "grown")
    [grown] = train(small(crosses, epochs=3), out=tmp_path / "grown", resume=True)
    [straight] = train(small(crosses, epochs=3), out=tmp_path / "straight")
    assert_same_run(grown.folder, straight.folder)


def test_an_unfinished_run_is_neither_lost_nor_resumed_unasked(crosses, tmp_path):
    train(small(crosses, epochs=1), out=tmp_path / "run")
    (tmp_path / "run/seed-0/metrics.json").unlink()
    with pytest.raises(UsageError, match="not finished"):
        train(small(crosses, epochs=1), out=tmp_path / "run")


@pytest.mark.parametrize("damage", ["truncate", "empty", "noise", "remove best"])
def test_a_damaged_state_is_refused(crosses, tmp_path, damage):
    train(small(crosses, epochs=2, lr=0.03), out=tmp_path / "run")
    folder = tmp_path / "run/seed-0"
    state = folder / "state.safetensors"
    content = state.read_bytes()
    if damage == "truncate":
        state.write_bytes(content[: len(content) // 2])
    elif damage == "empty":
        state.write_bytes(b"")
    elif damage == "noise":
        state.write_bytes(bytes(range(256)) * 40)
    else:
        header = json.loads((folder / "metrics.json").read_text())
        if header["best_epoch"] == 1:
            pytest.skip("the state is its own best epoch")
        (folder / "best.safetensors").unlink()
    with pytest.raises(CheckpointError):
        train(small(crosses, epochs=3, lr=0.03), out=tmp_path / "run", resume=True)


def test_a_loss_that_explodes_stops_before_the_step(crosses, tmp_path):
    config = small(crosses, model="cnn", lr=1e18, epochs=5)
    with pytest.raises(TrainingDiverged, match=r"seed 0: the loss.*epoch \d+, step \d+ \(classify = "):
        train(config, out=tmp_path / "run")
    assert not (tmp_path / "run/seed-0/metrics.json").exists()


def test_divergence_keeps_the_last_good_epoch(crosses, tmp_path, monkeypatch):
    config = small(crosses, epochs=3)

    def poison(replica, on_step):
        if replica.next_epoch == 2:
            with torch.no_grad():
                next(replica.model.parameters()).fill_(float("nan"))
        return epoch_module.train_epoch(replica, on_step)

    monkeypatch.setattr(advance_module, "train_epoch", poison)
    with pytest.raises(TrainingDiverged, match="epoch 3, step 1"):
        train(config, out=tmp_path / "run")
    folder = tmp_path / "run/seed-0"
    assert len(history(folder)) == 2
    assert all(t.isfinite().all() for t in weights(folder, "best.safetensors").values())
    assert all(t.isfinite().all() for t in weights(folder, "state.safetensors").values())


def test_actdiff_is_refused_without_activation_modules(tmp_path):
    with pytest.raises(UsageError, match="no activation modules"):
        train(make_config(data="synthetic", model="googlenet", actdiff=1.0, epochs=1), out=tmp_path / "run")


@pytest.mark.process
@pytest.mark.parametrize(
    "form",
    [
        {"actdiff": 1.0, "actdiff_layers": "pooled"},
        {"adversarial": 1.0, "adversarial_form": "followup"},
    ],
)
def test_pooled_features_are_refused_where_the_head_pools_others(crosses, tmp_path, form):
    config = small(crosses, model="densenet121", width=64, **form)
    with pytest.raises(
        UsageError, match="pools its last ReLU and classifies that, which densenet121 does not"
    ):
        train(config, out=tmp_path / "run")


def test_gradmask_is_refused_where_torch_has_no_second_derivative(crosses, tmp_path):
    config = small(crosses, model="mobilenet_v3_small", width=64, gradmask=1.0)
    with pytest.raises(UsageError, match=r"mobilenet_v3_small .*hardsigmoid"):
        train(config, out=tmp_path / "run")


@pytest.mark.parametrize(("weight", "known"), [(1.0, True), (0.0, False)])
def test_attention_has_a_second_derivative_where_the_objective_needs_it(weight, known):
    query = torch.rand(1, 1, 4, 8, requires_grad=True)
    with attention(second_derivative=weight > 0):
        answer = torch.nn.functional.scaled_dot_product_attention(query, query, query)
    (gradient,) = torch.autograd.grad(answer.square().sum(), query, create_graph=True)
    if known:
        assert torch.autograd.grad(gradient.square().sum(), query)[0].abs().sum() > 0
        return
    with pytest.raises(RuntimeError, match="derivative"):
        torch.autograd.grad(gradient.square().sum(), query)


def test_missing_data_names_the_command_that_makes_it(tmp_path):
    with pytest.raises(DataError, match="make-synthetic"):
        train(make_config(data=str(tmp_path / "none")), out=tmp_path / "run")


def test_each_seed_draws_its_own_benchmark_unless_the_split_seed_is_fixed():
    free, fixed = (make_config(data="synthetic", split_seed=seed) for seed in (-1, 7))
    assert not torch.equal(load_splits(free, 0)["train"].images, load_splits(free, 1)["train"].images)
    assert torch.equal(load_splits(fixed, 0)["train"].images, load_splits(fixed, 1)["train"].images)


def test_bf16_passes_train_too(crosses, tmp_path):
    config = small(crosses, epochs=1, actdiff=1.0, precision="bf16")
    [result] = train(config, out=tmp_path / "run")
    assert np.isfinite(result.metrics["valid"]["auc"])


def test_precision_without_hardware_is_refused(crosses, tmp_path):
    with pytest.raises(UsageError, match="CUDA only"):
        train(small(crosses, precision="tf32", device="cpu"), out=tmp_path / "run")


@pytest.mark.parametrize(("precision", "narrow"), [("fp32", False), ("tf32", True), ("bf16", True)])
def test_float32_products_on_cuda_are_as_narrow_as_the_precision_allows(precision, narrow):
    with settings_kept():
        set_up_arithmetic(torch.device("cuda"), precision=precision)
        assert torch.backends.cudnn.allow_tf32 is narrow
        assert torch.backends.cuda.matmul.allow_tf32 is narrow
    with pytest.raises(UsageError, match="no device 'tpu'"):
        choose_device("tpu")


@pytest.mark.parametrize("choice", ["off", "train", "all"])
def test_classify_masked_all_alone_masks_what_evaluation_sees(crosses, choice):
    config = make_config(data=str(crosses), model="cnn", width=4, classify_masked=choice)
    for samples in load_splits(config, 0).values():
        outside = samples.images[~samples.masks]
        assert bool((outside == 0).all()) == (choice == "all")
        assert (samples.images[samples.masks] > 0).any()


@pytest.mark.parametrize("choice", ["train", "all"])
def test_what_is_masked_out_is_grey_where_asked(crosses, choice):
    config = small(crosses, classify_masked=choice, masked_fill="grey")
    for samples in load_splits(config, 0).values():
        assert bool((samples.images[~samples.masks] == 0.5).all()) == (choice == "all")
    replica = new_replica(config, 0, crosses, torch.device("cpu"))
    seen = []
    hook = replica.model.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    next(epoch_module.training_steps(replica))
    hook.remove()
    assert float(seen[0].min()) == 0
    assert (seen[0] == 0.5).float().mean() > 0.5


def test_the_whole_image_is_resized_where_evaluation_sees_it_whole(crosses):
    stored = stored_splits(Source(data=str(crosses)), View(), (), 0)["test"]
    whole, centre = (
        as_seen(stored, View(image_size=14, evaluate_view=view, mask_blur=1.0))
        for view in ("whole", "centre")
    )
    blocks = stored.images.unflatten(2, (14, 2)).unflatten(4, (14, 2)).mean(dim=(3, 5))
    # Pillow's bilinear filter at half the size, which reaches a little beyond 2 x 2 px.
    originals = [Image.fromarray(image[0].numpy()) for image in stored.images]
    pillow = [image.resize((14, 14), Image.Resampling.BILINEAR) for image in originals]
    np.testing.assert_allclose(
        whole.images[:, 0], np.stack([np.asarray(image) for image in pillow]), atol=1e-5
    )
    assert float((whole.images - blocks).abs().mean()) < 0.05
    grown = dilate(stored.masks, 1.0)
    assert torch.equal(whole.masks, grown[..., 1::2, 1::2])
    assert torch.equal(centre.images, stored.images[..., 7:21, 7:21])
    alone = as_seen(stored.subset([3]), View(image_size=14, evaluate_view="whole"))
    assert torch.equal(alone.images[0], whole.images[3])


@pytest.mark.parametrize("model", ["cnn", "resnet18"])
def test_training_images_are_cropped_without_augmentation_too(crosses, model):
    config = small(crosses, model=model, image_size=24, actdiff=1.0)
    replica = new_replica(config, 0, crosses, torch.device("cpu"))
    assert replica.train.images.shape[-2:] == replica.train.masks.shape[-2:] == (24, 24)
    assert torch.equal(replica.train.images, replica.splits["train"].images)
    train_epoch = epoch_module.train_epoch(replica, lambda done, total: None)
    assert train_epoch["loss"] > 0


def test_training_without_random_crops_sees_what_evaluation_sees(crosses):
    config = small(crosses, image_size=14, evaluate_view="whole", actdiff=1.0)
    replica = new_replica(config, 0, crosses, torch.device("cpu"))
    assert torch.equal(replica.train.images, replica.splits["train"].images)


def test_resuming_for_fewer_epochs_than_were_trained_is_refused(crosses, tmp_path):
    train(small(crosses), out=tmp_path)
    (tmp_path / "seed-0/metrics.json").unlink()
    with pytest.raises(UsageError, match="has trained 3 epochs already, more than the 2 asked for"):
        train(small(crosses, epochs=2), out=tmp_path, resume=True)


@pytest.mark.parametrize("flags", [{}, {"resume": True}])
def test_a_finished_run_without_its_state_is_not_trained_anew_unasked(crosses, tmp_path, flags):
    [result] = train(small(crosses, epochs=1), out=tmp_path / "run")
    (result.folder / "state.safetensors").unlink()
    before = {path.name: path.read_bytes() for path in result.folder.iterdir()}
    with pytest.raises(UsageError, match=r"finished run of fewer epochs without its state\.safetensors"):
        train(small(crosses, epochs=2), out=tmp_path / "run", **flags)
    assert before == {path.name: path.read_bytes() for path in result.folder.iterdir()}
    train(small(crosses, epochs=2), out=tmp_path / "run", overwrite=True)

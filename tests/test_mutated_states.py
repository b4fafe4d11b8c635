"""A damaged or edited state or checkpoint is refused in a sentence, or changes nothing that matters."""

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from in_process import told
from mutated_json import edited
from safetensors.torch import save
from tiny_checkpoints import unsealed

from activmask.ground.errors import ActivmaskError, CheckpointError
from activmask.runs.checkpoint import load_checkpoint
from activmask.runs.checkpoint_paths import search_checkpoints
from activmask.runs.folder import BEST_FILE, FILES, LAST_FILE, STATE_FILE, seed_folder
from activmask.runs.making import make_config
from activmask.runs.results import find_runs
from activmask.runs.tensor_file import read_safetensors, tensors_digest
from activmask.training.replicas.replica import Replica, new_replica
from activmask.training.replicas.state import restore_state
from activmask.training.run import train

SETTINGS = {"model": "cnn", "width": 2, "epochs": 3, "lr": 0.03, "select": "loss", "adversarial": 0.5}

Told = dict[str, Any]
Tensors = dict[str, torch.Tensor]


def settings(crosses: Path, **changes: Any) -> Any:
    return make_config(data=str(crosses), device="cpu", **{**SETTINGS, **changes})


@pytest.fixture(scope="module")
def run(crosses, tmp_path_factory) -> Path:
    """Two seeds with a discriminator, whose best epochs are not their last."""
    out = tmp_path_factory.mktemp("runs") / "run"
    results = train(settings(crosses), (0, 1), out)
    assert all(result.metrics["best_epoch"] < 2 for result in results)
    return out


@pytest.fixture(scope="module")
def replica(crosses, run, tmp_path_factory) -> Replica:
    """One that restores seed 0's state from a copy of its folder."""
    folder = shutil.copytree(run, tmp_path_factory.mktemp("copied") / "run") / "seed-0"
    return new_replica(settings(crosses), 0, folder, torch.device("cpu"))


def opened(path: Path) -> tuple[Told, Tensors]:
    tensors, header = read_safetensors(path)
    return json.loads(header["activmask"]), tensors


def packed(found: Told, tensors: Tensors) -> bytes:
    return save(
        {name: tensor.contiguous() for name, tensor in tensors.items()}, {"activmask": json.dumps(found)}
    )


def put(path: Path, content: bytes) -> None:
    """A new file: tensors that were read before may still lie in the old one's memory."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def flipped(content: bytes, random: Random, first: int, end: int) -> bytes:
    anew = bytearray(content)
    for _ in range(random.randint(1, 3)):
        anew[random.randrange(first, end)] ^= 1 << random.randrange(8)
    return bytes(anew)


def rearranged(tensors: Tensors, others: Tensors, random: Random) -> Tensors:
    """One tensor is another seed's, another's, of another name, shape or type, or missing."""
    name, second = random.sample(list(tensors), 2)
    ways: list[Callable[[], Tensors]] = [
        lambda: {**tensors, name: others[name]},
        lambda: {**tensors, name: tensors[second], second: tensors[name]},
        lambda: {**{key: one for key, one in tensors.items() if key != name}, f"{name}x": tensors[name]},
        lambda: {**tensors, name: tensors[name].reshape(1, -1)},
        lambda: {**tensors, name: tensors[name].to(torch.float16)},
        lambda: {**tensors, name: tensors[name].to(torch.float64)},
        lambda: {**tensors, name: torch.full_like(tensors[name], float("nan"))},
        lambda: {key: one for key, one in tensors.items() if key != name},
    ]
    return random.choice(ways)()


def mutations(path: Path, other: Path, count: int, *, old: bool) -> Iterator[bytes]:
    """So many mutated forms of a file, as this version writes it or as an earlier one did."""
    random = Random(count)
    (found, tensors), (others_told, others) = opened(path), opened(other)
    if old:
        found, others_told = unsealed(found), unsealed(others_told)
    content = packed(found, tensors)
    header = 8 + int.from_bytes(content[:8], "little")
    kinds: list[Callable[[], bytes]] = [
        lambda: flipped(content, random, 0, header),
        lambda: flipped(content, random, header, len(content)),
        lambda: content[: random.randrange(len(content))],
        lambda: content + random.randbytes(random.randint(1, 9)),
        lambda: packed(edited(found, random), tensors),
        lambda: packed(edited(edited(found, random), random), tensors),
        lambda: packed(found, rearranged(tensors, others, random)),
        lambda: packed(edited(found, random), rearranged(tensors, others, random)),
        lambda: random.choice(
            [packed(found, others), packed(others_told, tensors), packed(others_told, others)]
        ),
    ]
    for number in range(count):
        yield kinds[number % len(kinds)]()


def restored(replica: Replica) -> tuple[Any, ...]:
    """All that goes on from a state."""
    restore_state(replica)
    assert replica.discriminator is not None
    assert replica.discriminator_optimizer is not None
    moments = {
        f"{which}.{index}.{name}": tensor
        for which, optimizer in enumerate((replica.optimizer, replica.discriminator_optimizer))
        for index, entries in optimizer.state_dict()["state"].items()
        for name, tensor in entries.items()
    }
    networks = replica.model.state_dict(), replica.discriminator.state_dict(), moments, replica.best_weights
    progress = replica.next_epoch, replica.best_epoch, replica.best_score, replica.history, replica.run_sha256
    return *map(tensors_digest, networks), *progress


def loaded(path: Path) -> tuple[Any, ...]:
    checkpoint = load_checkpoint(path)
    return tensors_digest(checkpoint.model.state_dict()), checkpoint.seed, checkpoint.epoch, checkpoint.config


def outcomes(path: Path, contents: Iterator[bytes], read: Callable[[], tuple[Any, ...]]) -> dict[str, int]:
    """How often a file in so many forms was refused, was the same, and was another."""
    whole = path.read_bytes()
    expected, found = read(), {"refused": 0, "same": 0, "other": 0}
    for content in contents:
        put(path, content)
        try:
            found["same" if read() == expected else "other"] += 1
        except ActivmaskError:
            found["refused"] += 1
    put(path, whole)
    assert read() == expected
    return found


@pytest.mark.process
def test_a_mutated_state_is_refused_or_resumes_as_if_it_were_not(run, replica):
    state = replica.folder / STATE_FILE
    contents = mutations(state, run / "seed-1" / STATE_FILE, 500, old=False)
    found = outcomes(state, contents, lambda: restored(replica))
    assert found["other"] == 0
    assert found["refused"] > 450


@pytest.mark.process
@pytest.mark.parametrize("name", [BEST_FILE, LAST_FILE])
def test_a_mutated_checkpoint_is_refused_or_is_as_if_it_were_not(run, replica, name):
    path = replica.folder / name
    contents = mutations(path, run / "seed-1" / name, 150, old=False)
    found = outcomes(path, contents, lambda: loaded(path))
    assert found["other"] == 0
    assert found["refused"] > 130


@pytest.mark.process
def test_a_mutated_best_file_is_refused_or_resumes_as_if_it_were_not(run, replica):
    path = replica.folder / BEST_FILE
    contents = mutations(path, run / "seed-1" / BEST_FILE, 100, old=False)
    found = outcomes(path, contents, lambda: restored(replica))
    assert found["other"] == 0
    assert found["refused"] > 80


@pytest.mark.process
def test_a_mutated_file_of_an_earlier_version_never_ends_in_a_traceback(run, replica):
    for name, read in (
        (STATE_FILE, lambda: restored(replica)),
        (LAST_FILE, lambda: loaded(replica.folder / LAST_FILE)),
    ):
        path = replica.folder / name
        found = outcomes(path, mutations(path, run / "seed-1" / name, 200, old=True), read)
        # What flipped bits of weights or edited numbers mean, nobody can see without a digest.
        assert found["refused"] > 100


def as_before(path: Path) -> None:
    found, tensors = opened(path)
    put(path, packed(unsealed(found), tensors))


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("name", [STATE_FILE, BEST_FILE])
def test_another_seeds_file_is_not_resumed(crosses, run, tmp_path, name, old):
    out = shutil.copytree(run, tmp_path / "run")
    shutil.copy(out / "seed-1" / name, out / "seed-0" / name)
    if old:
        for file in (STATE_FILE, BEST_FILE):
            as_before(out / "seed-0" / file)
    with pytest.raises(CheckpointError, match=rf"seed-0/{name} .*seed"):
        train(settings(crosses, epochs=4), (0,), out, resume=True)


def test_another_epochs_best_file_is_not_resumed(crosses, run, tmp_path):
    out = shutil.copytree(run, tmp_path / "run")
    shutil.copy(out / "seed-0" / LAST_FILE, out / "seed-0" / BEST_FILE)
    with pytest.raises(CheckpointError, match=r"best\.safetensors cannot be .*its epoch is 2, the state's"):
        train(settings(crosses, epochs=4), (0,), out, resume=True)


def test_a_checkpoint_in_anothers_place_is_refused_and_one_elsewhere_is_not(crosses, run, tmp_path):
    out = shutil.copytree(run, tmp_path / "run")
    [other] = train(settings(crosses, lr=0.02, epochs=1), (0,), tmp_path / "other")
    folder = seed_folder(out, 0)
    for source, why in (
        (out / "seed-1" / BEST_FILE, "it is of seed 1, its folder of seed 0"),
        (folder / LAST_FILE, r"it is of epoch 2, metrics\.json tells of epoch"),
        (other.folder / BEST_FILE, "it is of another run"),
    ):
        shutil.copy(source, folder / BEST_FILE)
        with pytest.raises(CheckpointError, match=rf"does not belong to the run in its folder \({why}"):
            load_checkpoint(folder / BEST_FILE)
        alone = shutil.copy(source, tmp_path / "alone.safetensors")
        load_checkpoint(alone)
    said = told("evaluate", folder, cwd=tmp_path, code=3)
    assert "does not belong to the run in its folder" in said.stderr.replace("\n", " ")


@pytest.mark.parametrize("name", [name for name in FILES if name != STATE_FILE])
def test_whatever_a_finished_run_lost_but_its_state_is_written_again(crosses, run, tmp_path, name):
    out = shutil.copytree(run, tmp_path / "run")
    expected = (out / "seed-0" / name).read_bytes()
    (out / "seed-0" / name).unlink()
    if name == BEST_FILE:
        with pytest.raises(CheckpointError, match=r"there is no checkpoint file .*best\.safetensors"):
            train(settings(crosses), (0,), out, resume=True)
        return
    train(settings(crosses), (0,), out, resume=True)
    assert (out / "seed-0" / name).read_bytes() == expected


def test_a_file_that_may_not_be_read_is_not_called_damaged(run, monkeypatch):
    def denied(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(CheckpointError, match=r"cannot be read \(Permission denied\); check its permissions"):
        read_safetensors(seed_folder(run, 0) / BEST_FILE)


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: not enough memory")])
@pytest.mark.parametrize("where", ["tensor_file.safe_open", "checkpoint.build_model"])
def test_want_of_memory_is_no_fault_of_a_file(run, monkeypatch, where, error):
    def short(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(f"activmask.runs.{where}", short)
    with pytest.raises(type(error)):
        load_checkpoint(seed_folder(run, 0) / BEST_FILE)


@pytest.mark.parametrize("written", range(len(FILES)))
def test_a_seed_that_was_killed_between_its_files_keeps_nobody_from_the_others(run, tmp_path, written):
    out = shutil.copytree(run, tmp_path / "run")
    for name in FILES[written:]:
        (out / "seed-1" / name).unlink()
    assert [found.seeds for found in find_runs([out])] == [(0,)]
    assert search_checkpoints(out).unreadable == ()

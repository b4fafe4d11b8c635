"""A replica's complete state between two epochs, in one file that is replaced in one step.

`state.safetensors` holds the current weights and the optimizers; the best weights are in
`best.safetensors`, which is written right after it. A best epoch that this file does not hold yet
is the state's own or in it too, so that a state is enough to write a best file that a power cut
swallowed.
"""

import json
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from activmask.config import FIELDS, RunConfig
from activmask.errors import CheckpointError, UsageError
from activmask.models import load_plain_weights, plain_weights
from activmask.training.checkpoint import Description, read_safetensors, save_checkpoint, snapshot
from activmask.training.files import write_whole
from activmask.training.replica import Replica

STATE_FILE = "state.safetensors"
BEST_FILE = "best.safetensors"
LAST_FILE = "last.safetensors"

MAY_CHANGE = ("epochs", "threads", "device", "compile", "duplicates")
"""Settings a resumed run may change: they do not alter what was computed so far."""


def changed_settings(one: RunConfig, other: RunConfig) -> list[str]:
    """The settings in which two runs differ, without those that a resumed run may change."""
    names = [name for name in FIELDS if name not in MAY_CHANGE]
    return [name for name in names if getattr(one, name) != getattr(other, name)]


def save_state(replica: Replica) -> None:
    """Write the state after the epoch that just ended, then the best weights if they are new."""
    tensors = {f"model.{name}": tensor for name, tensor in plain_weights(replica.model).items()}
    tensors |= _optimizer_tensors("optimizer", replica.optimizer)
    if replica.judge is not None and replica.judge_optimizer is not None:
        tensors |= {f"judge.{name}": tensor for name, tensor in replica.judge.state_dict().items()}
        tensors |= _optimizer_tensors("judge_optimizer", replica.judge_optimizer)
    if replica.best_epoch not in {replica.best_on_disk, replica.next_epoch - 1}:
        tensors |= {f"best.{name}": tensor for name, tensor in replica.best_weights.items()}
    progress = {
        "description": replica.description(replica.next_epoch - 1).to_json(),
        "data_digest": replica.data_digest,
        "best_epoch": replica.best_epoch,
        "best_score": replica.best_score,
        "history": replica.history,
    }
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_whole(replica.folder / STATE_FILE, save(contiguous, {"activmask": json.dumps(progress)}))
    if replica.best_epoch != replica.best_on_disk:
        save_best(replica)


def save_best(replica: Replica) -> None:
    """Write the best epoch's weights."""
    save_checkpoint(replica.folder / BEST_FILE, replica.best_weights, replica.description(replica.best_epoch))
    replica.best_on_disk = replica.best_epoch


def restore_state(replica: Replica) -> None:
    """Continue where `save_state` left off.

    Raises:
        CheckpointError: the state is missing or damaged.
        UsageError: it belongs to another run or other data.
    """
    path = replica.folder / STATE_FILE
    tensors, header = read_safetensors(path)
    try:
        progress = json.loads(header["activmask"])
        written = Description.from_json(progress["description"])
        _check_same_run(replica, written, progress)
        load_plain_weights(replica.model, _section(tensors, "model"))
        _restore_optimizer("optimizer", replica.optimizer, tensors)
        if replica.judge is not None and replica.judge_optimizer is not None:
            replica.judge.load_state_dict(_section(tensors, "judge"))
            _restore_optimizer("judge_optimizer", replica.judge_optimizer, tensors)
        replica.next_epoch = written.epoch + 1
        replica.best_epoch, replica.best_score = progress["best_epoch"], progress["best_score"]
        replica.history = progress["history"]
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"{path} cannot be resumed ({type(error).__name__}: {error}); start anew"
        ) from error
    if replica.world.writes:
        _restore_best(replica, _section(tensors, "best"))


def _restore_best(replica: Replica, kept: dict[str, Tensor]) -> None:
    if replica.best_epoch == replica.next_epoch - 1:
        replica.best_weights = snapshot(replica.model)
        save_best(replica)
        return
    weights = kept or read_safetensors(replica.folder / BEST_FILE)[0]
    replica.best_weights = {name: tensor.to(replica.device) for name, tensor in weights.items()}
    if kept:
        save_best(replica)
    replica.best_on_disk = replica.best_epoch


def _check_same_run(replica: Replica, written: Description, progress: dict[str, Any]) -> None:
    before, after = vars(written.config), vars(replica.config)
    if changed := changed_settings(written.config, replica.config):
        listed = ", ".join(f"{name} was {before[name]}, is {after[name]}" for name in changed)
        raise UsageError(
            f"{replica.folder} holds a run with other settings ({listed}); use another out folder"
        )
    if progress["data_digest"] != replica.data_digest:
        raise UsageError(
            f"{replica.config.data} has changed since {replica.folder} began; restore it or start anew"
        )


def _section(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    prefix = f"{name}."
    return {key[len(prefix) :]: tensor for key, tensor in tensors.items() if key.startswith(prefix)}


def _optimizer_tensors(name: str, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    return {
        f"{name}.{index}.{key}": value
        for index, entries in optimizer.state_dict()["state"].items()
        for key, value in entries.items()
    }


def _restore_optimizer(name: str, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in _section(tensors, name).items():
        index, _, entry = key.partition(".")
        state.setdefault(int(index), {})[entry] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    # The fused optimizer walks through memory, so a moment has to lie there as its parameter does.
    for parameter, entries in optimizer.state.items():
        for key, tensor in entries.items():
            if tensor.shape == parameter.shape:
                entries[key] = torch.empty_like(parameter, requires_grad=False).copy_(tensor)

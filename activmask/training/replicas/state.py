"""A replica's complete state between two epochs, in one file that is replaced in one step.

`state.safetensors` holds the current weights and the optimizers; the best weights are in
`best.safetensors`, which is written right after it. A best epoch that this file does not hold yet
is the state's own or in it too, so that a state is enough to write a best file that a power cut
swallowed.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from activmask.data.samples import Samples
from activmask.ground.errors import PATH, CheckpointError, UsageError
from activmask.ground.files import write_whole
from activmask.models.build import load_plain_weights, plain_weights
from activmask.runs.checkpoint import Description, read_safetensors, save_checkpoint, snapshot
from activmask.runs.checkpoint_format import refuse_newer
from activmask.runs.folder import BEST_FILE, STATE_FILE
from activmask.runs.identity import changed_settings, changes_in_words
from activmask.runs.manifest import Entry, what_changed
from activmask.training.feed.sources import fingerprint
from activmask.training.feed.stream import file_digest
from activmask.training.replicas.replica import Replica

_DISCRIMINATOR, _ITS_OPTIMIZER = "judge", "judge_optimizer"
"""In the file: an older word, which all versions read."""


def save_state(replica: Replica) -> None:
    """Write the state after the epoch that just ended, then the best weights if they are new."""
    tensors = {f"model.{name}": tensor for name, tensor in plain_weights(replica.model).items()}
    tensors |= _optimizer_tensors("optimizer", replica.optimizer)
    if replica.discriminator is not None and replica.discriminator_optimizer is not None:
        of_discriminator = replica.discriminator.state_dict()
        tensors |= {f"{_DISCRIMINATOR}.{name}": tensor for name, tensor in of_discriminator.items()}
        tensors |= _optimizer_tensors(_ITS_OPTIMIZER, replica.discriminator_optimizer)
    if replica.best_epoch not in {replica.best_on_disk, replica.next_epoch - 1}:
        tensors |= {f"best.{name}": tensor for name, tensor in replica.best_weights.items()}
    progress = {
        "description": replica.description(replica.next_epoch - 1).to_json(),
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


def restore_state(replica: Replica, written: Sequence[Entry] = ()) -> tuple[str, ...]:
    """Continue where `save_state` left off.

    Args:
        replica: is changed in place.
        written: the splits that the run wrote down, to say what changed; none if it did not.

    Returns:
        Sentences on what could not be checked, or is no longer as it was without harm.

    Raises:
        CheckpointError: the state is missing or damaged.
        UsageError: it belongs to another run or other data.
    """
    path = replica.folder / STATE_FILE
    tensors, header = read_safetensors(path)
    try:
        progress = json.loads(header["activmask"])
        refuse_newer(path, progress["description"])
        before = Description.from_json(progress["description"])
        _check_same_run(replica, before)
        notes = _check_same_data(replica, before, progress, written)
        load_plain_weights(replica.model, _section(tensors, "model"))
        _restore_optimizer("optimizer", replica.optimizer, tensors)
        if replica.discriminator is not None and replica.discriminator_optimizer is not None:
            replica.discriminator.load_state_dict(_section(tensors, _DISCRIMINATOR))
            _restore_optimizer(_ITS_OPTIMIZER, replica.discriminator_optimizer, tensors)
        replica.next_epoch = before.epoch + 1
        replica.best_epoch, replica.best_score = progress["best_epoch"], progress["best_score"]
        replica.history = progress["history"]
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"{PATH} cannot be resumed ({type(error).__name__}: {error})", path=path, advice="start anew"
        ) from error
    if replica.world.writes:
        _restore_best(replica, _section(tensors, "best"))
    return notes


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


def _check_same_run(replica: Replica, written: Description) -> None:
    # Data is known by its digest, wherever it lies and however its place is spelled.
    if changed := [name for name in changed_settings(written.config, replica.config) if name != "data"]:
        listed = changes_in_words(written.config, replica.config, changed)
        raise UsageError(
            f"{PATH} holds a run with other settings ({listed})",
            path=replica.folder,
            advice="use another out folder",
        )


def _check_same_data(
    replica: Replica, before: Description, progress: dict[str, Any], written: Sequence[Entry]
) -> tuple[str, ...]:
    data, now = replica.config.source.data, replica.origin
    if not before.split_sha256:
        _check_old_digest(replica, progress["data_digest"])
        return (
            f"{replica.folder} was begun by an earlier version, which wrote down neither its splits nor "
            "digests of validation and test: the splits were drawn anew, the training images are those of "
            "before, and the others cannot be verified.",
        )
    changed = [split for split, digest in before.split_sha256.items() if now.digests.get(split) != digest]
    if changed:
        detail = what_changed(written, now.entries) if written and now.path else ""
        splits = f"split{'s' if len(changed) > 1 else ''}"
        raise UsageError(
            f"{data} has changed since {PATH} began: its {' and '.join(changed)} {splits} held other "
            f"images, masks, labels, subjects or sites{f' ({detail})' if detail else ''}",
            path=replica.folder,
            advice="restore it or start anew",
        )
    replica.origin = replace(now, images=before.data_images)
    if now.images > before.data_images:
        return (
            f"{data} holds {now.images} images, {before.data_images} when {replica.folder} began; the new "
            "ones are in none of its splits and are not used.",
        )
    return ()


def _check_old_digest(replica: Replica, digest: str) -> None:
    train = replica.train
    if digest != (fingerprint(train) if isinstance(train, Samples) else file_digest(train)):
        raise UsageError(
            f"{replica.config.source.data} has changed since {PATH} began",
            path=replica.folder,
            advice="restore it or start anew",
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

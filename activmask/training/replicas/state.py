"""A replica's complete state between two epochs, in one file that is replaced in one step.

`state.safetensors` holds the current weights and the optimizers; the best weights are in
`best.safetensors`, which is written right after it. A best epoch that this file does not hold yet
is the state's own or in it too, so that a state is enough to write a best file that a power cut
swallowed.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from activmask.data.dataset import CARD_FILE
from activmask.data.samples import Samples
from activmask.ground.errors import PATH, UsageError
from activmask.ground.listed import listed
from activmask.models.build import load_plain_weights, plain_weights
from activmask.runs.checkpoint import Description, read_description, save_checkpoint, snapshot
from activmask.runs.folder import BEST_FILE, OTHER_FILE, STATE_FILE
from activmask.runs.identity import changed_but_places, changed_files, changes_in_words, other_run
from activmask.runs.manifest import Entry, what_changed
from activmask.runs.tensor_file import (
    STATES_DESCRIPTION,
    Held,
    check_tensors,
    hold,
    read_tensors,
    tensors_digest,
    write_tensors,
)
from activmask.training.feed.origin import Origin
from activmask.training.feed.sources import fingerprint
from activmask.training.feed.stream import file_digest
from activmask.training.replicas.kept_state import (
    BEST_SHA256,
    GROUPS_SHA256,
    OTHER_EPOCH,
    OTHER_SCORE,
    KeptState,
    cannot_be_resumed,
    check_discriminator_fits,
    check_fits,
    check_sections,
    read_state,
    section,
)
from activmask.training.replicas.patience import has_ended
from activmask.training.replicas.replica import Replica

_DISCRIMINATOR, _ITS_OPTIMIZER = "judge", "judge_optimizer"
"""In the file: an older word, which all versions read."""
_AVERAGE = "average"
_OTHER = "other"
_GROUPS = "groups"
"""Of how much each group counts, where that changes."""


def save_state(replica: Replica, best: Held | None) -> None:
    """Write the state after the epoch that just ended; `save_best` is to follow where they are new.

    Args:
        replica: its state.
        best: from `new_best`.
    """
    tensors = {f"model.{name}": tensor for name, tensor in plain_weights(replica.model).items()}
    tensors |= _optimizer_tensors("optimizer", replica.optimizer)
    if replica.average is not None:
        tensors |= {f"{_AVERAGE}.{name}": tensor for name, tensor in plain_weights(replica.average).items()}
    if replica.discriminator is not None and replica.discriminator_optimizer is not None:
        of_discriminator = replica.discriminator.state_dict()
        tensors |= {f"{_DISCRIMINATOR}.{name}": tensor for name, tensor in of_discriminator.items()}
        tensors |= _optimizer_tensors(_ITS_OPTIMIZER, replica.discriminator_optimizer)
    if (q := _changing_weights(replica)) is not None:
        tensors[f"{_GROUPS}.weights"] = q
    if best is not None:
        replica.best_sha256 = best.sha256
        if replica.best_epoch != replica.next_epoch - 1:
            tensors |= {f"best.{name}": tensor for name, tensor in best.tensors.items()}
    if replica.other is not None:
        # Always whole in here, so that its file is never needed to go on.
        tensors |= {f"{_OTHER}.{name}": tensor for name, tensor in replica.other.weights.items()}
    progress = {
        STATES_DESCRIPTION: replica.description(replica.next_epoch - 1).to_json(),
        "best_epoch": replica.best_epoch,
        "best_score": replica.best_score,
        BEST_SHA256: replica.best_sha256,
        "history": replica.history,
        **(
            {}
            if replica.other is None
            else {OTHER_EPOCH: replica.other.epoch, OTHER_SCORE: replica.other.score}
        ),
        **({GROUPS_SHA256: replica.groups_sha256} if replica.groups_sha256 else {}),
    }
    write_tensors(replica.folder / STATE_FILE, hold(tensors), progress)
    replica.saved_epoch = replica.next_epoch - 1


def save_best(replica: Replica, best: Held) -> None:
    """Write the best epoch's weights."""
    write_tensors(replica.folder / BEST_FILE, best, replica.description(replica.best_epoch).to_json())
    replica.best_on_disk = replica.best_epoch


def new_best(replica: Replica) -> Held | None:
    """The best epoch's weights, where their file does not hold them."""
    return hold(replica.best_weights) if replica.best_epoch != replica.best_on_disk else None


def save_other_best(replica: Replica) -> None:
    """Write the best epoch's weights on the validation split that does not choose, where they are new."""
    other = replica.other
    if other is None or other.epoch == other.on_disk:
        return
    save_checkpoint(replica.folder / OTHER_FILE, other.weights, replica.description(other.epoch))
    other.on_disk = other.epoch


def restore_state(replica: Replica, written: Sequence[Entry] = ()) -> tuple[str, ...]:
    """Continue where `save_state` left off.

    Args:
        replica: is changed in place.
        written: the splits that the run wrote down, to say what changed; none if it did not.

    Returns:
        Sentences on what could not be checked, or is no longer as it was without harm.

    Writes nothing: `best_on_disk` says whether the best file is to be written again.

    Raises:
        CheckpointError: the state or the best file that it needs is missing, damaged, or another seed's,
            run's or epoch's.
        UsageError: it belongs to another run or other data.
    """
    state = read_state(replica.folder / STATE_FILE)
    _check_same_run(replica, state.description)
    notes = _check_same_data(replica, state, written)
    check_fits(state, replica)
    check_discriminator_fits(state, replica, _DISCRIMINATOR, _ITS_OPTIMIZER)
    second = replica.discriminator is not None
    check_sections(
        state,
        (
            *("model", "optimizer", "best"),
            *((_DISCRIMINATOR, _ITS_OPTIMIZER) if second else ()),
            *((_AVERAGE,) if replica.average is not None else ()),
            *((_OTHER,) if replica.other is not None else ()),
            *((_GROUPS,) if _changing_weights(replica) is not None else ()),
        ),
    )
    _check_same_groups(replica, state)
    load_plain_weights(replica.model, section(state.tensors, "model"))
    _restore_optimizer(replica.optimizer, section(state.tensors, "optimizer"))
    if replica.average is not None:
        mean = section(state.tensors, _AVERAGE)
        check_tensors(state.path, mean, plain_weights(replica.average), "this run's averaged weights")
        load_plain_weights(replica.average, mean)
    if (weights := _changing_weights(replica)) is not None:
        kept = section(state.tensors, _GROUPS)
        check_tensors(state.path, kept, {"weights": weights}, "this run's weights of groups")
        weights.copy_(kept["weights"])
    if replica.discriminator is not None and replica.discriminator_optimizer is not None:
        replica.discriminator.load_state_dict(section(state.tensors, _DISCRIMINATOR))
        _restore_optimizer(replica.discriminator_optimizer, section(state.tensors, _ITS_OPTIMIZER))
    replica.run_sha256 = state.description.run_sha256 or replica.run_sha256
    replica.saved_epoch = state.description.epoch
    replica.next_epoch = replica.saved_epoch + 1
    replica.best_epoch, replica.best_score = state.best_epoch, state.best_score
    replica.history = state.history
    replica.ended = has_ended(replica)
    if replica.world.writes:
        _restore_best(replica, state)
        _restore_other(replica, state)
    return notes


def _restore_other(replica: Replica, state: KeptState) -> None:
    """Take the best weights on the other validation split from the state, where there is one."""
    other = replica.other
    if other is None:
        return
    weights = section(state.tensors, _OTHER)
    check_tensors(state.path, weights, plain_weights(replica.model), "this run's other best weights")
    other.epoch, other.score = state.other_epoch, state.other_score
    other.weights = {name: tensor.to(replica.device) for name, tensor in weights.items()}
    other.on_disk = -1


def _changing_weights(replica: Replica) -> Tensor | None:
    """How much each group counts, where that changes with every step."""
    found = replica.group_weights
    return found.weights if found is not None and found.step > 0 else None


def _check_same_groups(replica: Replica, state: KeptState) -> None:
    """Refuse training images that are in other groups: what is written down of images says nothing of it."""
    if state.groups_sha256 != replica.groups_sha256:
        raise UsageError(
            f"the column {replica.config.robustness.groups} of {replica.config.source.data} has changed "
            f"since {PATH} began",
            path=replica.folder,
            advice="restore it or start anew",
        )


def _restore_best(replica: Replica, state: KeptState) -> None:
    """Take the best weights from the state, or from the file that it names."""
    own, kept = replica.best_epoch == state.description.epoch, section(state.tensors, "best")
    if own:
        weights = snapshot(replica.judged)
    elif kept:
        check_tensors(state.path, kept, plain_weights(replica.model), "this run's best weights")
        weights = kept
    else:
        weights = _read_best(replica, state)
    replica.best_sha256 = tensors_digest(weights)
    if state.best_sha256 not in {"", replica.best_sha256}:
        raise cannot_be_resumed(
            state.path if own or kept else replica.folder / BEST_FILE,
            "its weights are not those of the best epoch that the state names",
        )
    replica.best_weights = {name: tensor.to(replica.device) for name, tensor in weights.items()}
    replica.best_on_disk = -1 if own or kept else replica.best_epoch


def _read_best(replica: Replica, state: KeptState) -> dict[str, Tensor]:
    """The best file's weights, once it was found to be of this run and of the epoch that the state names."""
    file = read_tensors(replica.folder / BEST_FILE)
    description = read_description(file.path, file.told)
    check_tensors(file.path, file.tensors, plain_weights(replica.model), "this run's weights")
    expected = {"seed": replica.seed, "epoch": state.best_epoch}
    other = [name for name in expected if getattr(description, name) != expected[name]]
    if other:
        wrong = f"its {other[0]} is {getattr(description, other[0])}, the state's {expected[other[0]]}"
    else:
        wrong = other_run(state.description, description)
    if wrong:
        raise cannot_be_resumed(file.path, wrong)
    return file.tensors


def _check_same_run(replica: Replica, written: Description) -> None:
    if changed := changed_but_places(written.config, replica.config):
        listed = changes_in_words(written.config, replica.config, changed)
        raise UsageError(
            f"{PATH} holds a run with other settings ({listed})",
            path=replica.folder,
            advice="use another out folder",
        )
    if files := changed_files(written.built_from, replica.built_from, replica.config, replica.seed):
        raise UsageError(
            f"{PATH} holds a run of another network ({files})",
            path=replica.folder,
            advice="restore it, or use another out folder",
        )


def _check_same_data(replica: Replica, state: KeptState, written: Sequence[Entry]) -> tuple[str, ...]:
    data, now, before = replica.config.source.data, replica.origin, state.description
    if not before.split_sha256:
        _check_old_digest(replica, state)
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
    if now.path and (told := _told_otherwise(before, now)):
        raise UsageError(
            f"{data} has changed since {PATH} began: its {CARD_FILE} told of other {told}",
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


def _told_otherwise(before: Description, now: Origin) -> str:
    """What a run wrote down of its data set's card and finds changed; earlier versions wrote down less."""
    if before.class_names and before.class_names != now.class_names:
        return f"classes ({listed(before.class_names)}; now {listed(now.class_names) or 'none'})"
    changed = [name for name, value in before.recipe.items() if now.recipe.get(name) != value]
    return f"ways in which its images were made ({listed(changed)})" if changed else ""


def _check_old_digest(replica: Replica, state: KeptState) -> None:
    train = replica.train
    if not state.data_digest:
        raise cannot_be_resumed(state.path, "it names no digest of its training images")
    if state.data_digest != (fingerprint(train) if isinstance(train, Samples) else file_digest(train)):
        raise UsageError(
            f"{replica.config.source.data} has changed since {PATH} began",
            path=replica.folder,
            advice="restore it or start anew",
        )


def _optimizer_tensors(name: str, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    return {
        f"{name}.{index}.{key}": value
        for index, entries in optimizer.state_dict()["state"].items()
        for key, value in entries.items()
    }


def _restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        index, _, entry = key.partition(".")
        state.setdefault(int(index), {})[entry] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    lay_moments_out(optimizer)


def lay_moments_out(optimizer: torch.optim.Optimizer) -> None:
    """Lay an optimizer's moments out in memory as their parameters lie; the fused one walks through it."""
    for parameter, entries in optimizer.state.items():
        for key, tensor in entries.items():
            if tensor.shape == parameter.shape:
                entries[key] = torch.empty_like(parameter, requires_grad=False).copy_(tensor)

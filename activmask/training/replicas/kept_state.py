"""What a state file holds, read and checked by itself and against the replica that is to go on from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from activmask.ground.errors import PATH, CheckpointError
from activmask.models.build import plain_weights
from activmask.objectives.chosen import discriminator_of
from activmask.runs.checkpoint import Description, read_description
from activmask.runs.selection import merit
from activmask.runs.tensor_file import STATES_DESCRIPTION, check_tensors, read_tensors
from activmask.runs.written_values import is_count, is_number, is_sha256, is_text, what_is_wrong
from activmask.training.replicas.epoch import step_count
from activmask.training.replicas.replica import Replica

BEST_SHA256 = "best_sha256"
"""The entry by which a state names the weights of its best epoch; earlier versions wrote none."""

GROUPS_SHA256 = "groups_sha256"
"""The entry that tells of the groups of the training images, where training depends on them."""

_PROGRESS = {
    "best_epoch": is_count,
    "best_score": is_number,
    BEST_SHA256: is_sha256,
    "data_digest": is_text,
    GROUPS_SHA256: is_sha256,
}
_MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass(frozen=True, kw_only=True)
class KeptState:
    """A state that is whole in itself."""

    path: Path
    description: Description
    """Its `epoch` is the last that was trained."""
    best_epoch: int
    best_score: float
    best_sha256: str
    """Of the best weights; empty from earlier versions."""
    history: list[dict[str, Any]]
    """A row per epoch."""
    data_digest: str
    """Of the training images, from the earliest versions alone; empty otherwise."""
    tensors: dict[str, Tensor]
    groups_sha256: str = ""
    """Of the groups of the training images; empty where training does not depend on them."""


def read_state(path: Path) -> KeptState:
    """Read a state.

    Raises:
        CheckpointError: it is missing, damaged, or contradicts itself.
    """
    file = read_tensors(path)
    told = file.told
    description = read_description(path, told.get(STATES_DESCRIPTION))
    wrong = what_is_wrong(told, _PROGRESS, ("best_epoch", "best_score"))
    if wrong := wrong or _wrong_history(told.get("history"), description, told):
        raise cannot_be_resumed(path, wrong)
    return KeptState(
        path=path,
        description=description,
        best_epoch=told["best_epoch"],
        best_score=told["best_score"],
        best_sha256=told.get(BEST_SHA256, ""),
        history=told["history"],
        data_digest=told.get("data_digest", ""),
        tensors=file.tensors,
        groups_sha256=told.get(GROUPS_SHA256, ""),
    )


def _wrong_history(rows: Any, description: Description, told: Mapping[str, Any]) -> str:
    """A clause on what is wrong with a state's history, or with the best epoch that it names."""
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        return "its history is no list of rows"
    epochs = [row.get("epoch") for row in rows]
    if (
        not all(map(is_count, epochs))
        or len(rows) != description.epoch + 1
        or epochs != list(range(len(rows)))
    ):
        return f"its history does not tell of epochs 0 to {description.epoch}, one after the other"
    if not all(row.keys() == rows[0].keys() and all(map(is_number, row.values())) for row in rows):
        return "a row of its history lacks a number"
    if told["best_epoch"] > description.epoch:
        return f"its best epoch is {told['best_epoch']}, its last {description.epoch}"
    try:
        best = merit(rows[told["best_epoch"]], description.config.training.select)
    except KeyError as error:
        return f"its history lacks {error}"
    return "" if best == told["best_score"] else "its best score is not that of its best epoch"


def check_fits(state: KeptState, replica: Replica) -> None:
    """Refuse a state that is not this seed's, or whose tensors are not those of its network.

    Raises:
        CheckpointError: says what is another.
    """
    ours, theirs = replica.description(0), state.description
    for name in ("seed", "image_size", "channels", "classes"):
        if getattr(ours, name) != getattr(theirs, name):
            raise CheckpointError(
                f"{PATH} is no state of this run: its {name} is another",
                path=state.path,
                expected=getattr(ours, name),
                found=getattr(theirs, name),
                advice="restore the seed's own, or start anew",
            )
    check_tensors(
        state.path, section(state.tensors, "model"), plain_weights(replica.model), "this run's weights"
    )
    steps = (theirs.epoch + 1) * step_count(replica)
    _check_optimizer(state, "optimizer", replica.model, steps)


def check_discriminator_fits(state: KeptState, replica: Replica, name: str, its_optimizer: str) -> None:
    """The same of the second network, where an objective has one.

    Raises:
        CheckpointError: says what is another.
    """
    found = discriminator_of(replica.config.objectives)
    if replica.discriminator is None or found is None:
        return
    check_tensors(
        state.path,
        section(state.tensors, name),
        replica.discriminator.state_dict(),
        "this run's discriminator",
    )
    kind, settings = found
    steps = (state.description.epoch + 1) * step_count(replica) * kind.steps(settings)
    _check_optimizer(state, its_optimizer, replica.discriminator, steps)


def _check_optimizer(state: KeptState, name: str, module: nn.Module, most: int) -> None:
    """Refuse moments that are not those of a network's parameters after at most so many steps."""
    found = section(state.tensors, name)
    expected: dict[str, Tensor] = {}
    for index, parameter in enumerate(module.parameters()):
        # A parameter that never had a gradient has none.
        if any(f"{index}.{moment}" in found for moment in (*_MOMENTS, "step")):
            expected |= {f"{index}.{moment}": parameter for moment in _MOMENTS}
            expected[f"{index}.step"] = torch.zeros(())
    check_tensors(state.path, found, expected, f"this run's {name}")
    taken = [float(found[key]) for key in expected if key.endswith(".step")]
    if not all(steps.is_integer() and 1 <= steps <= most for steps in taken):
        raise cannot_be_resumed(state.path, f"its {name} took other steps than 1 to {most}")


def section(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """The tensors whose names begin with a word and a dot, without it."""
    prefix = f"{name}."
    return {key[len(prefix) :]: tensor for key, tensor in tensors.items() if key.startswith(prefix)}


def check_sections(state: KeptState, known: Sequence[str]) -> None:
    """Refuse tensors that belong to nothing.

    Raises:
        CheckpointError: names the first.
    """
    for name in state.tensors:
        if name.partition(".")[0] not in known:
            raise cannot_be_resumed(state.path, f"nothing of this run is called {name}")


def cannot_be_resumed(path: Path, why: str) -> CheckpointError:
    """What to raise of a state that training cannot go on from."""
    return CheckpointError(
        f"{PATH} cannot be resumed ({why})",
        path=path,
        advice="restore it from where it is whole, or start anew",
    )

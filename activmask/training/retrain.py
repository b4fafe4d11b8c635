"""A finished run's networks with their last layers fitted anew, seed by seed, in place of training.

Shapes: N images, D features, K classes.
"""

from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from activmask.data.groups import Groups, check_groups, grouped
from activmask.data.settings import IID
from activmask.ground.errors import PATH, UsageError
from activmask.ground.settings import declared
from activmask.models.build import load_plain_weights, plain_weights
from activmask.models.freezing import head_of
from activmask.models.taps import Tapped
from activmask.runs.checkpoint import read_description, snapshot
from activmask.runs.description import RunConfig
from activmask.runs.first_run import head_file
from activmask.runs.identity import changed_settings, changes_in_words
from activmask.runs.robustness import Robustness, weighs_images
from activmask.runs.tensor_file import check_tensors, read_tensors
from activmask.training.last_layer_fit import DRAWS, Fitted, LastLayer, fitted_last_layer
from activmask.training.replicas.advance import keep_other, keep_row, write_what_follows
from activmask.training.replicas.epoch import history_row, split_scores
from activmask.training.replicas.predictions import predict
from activmask.training.replicas.replica import Replica, class_count
from activmask.training.replicas.watcher import Watcher

_APART = 0.02
"""By how much a probability may miss the fitted layer's, as in TensorFloat-32."""


def retrain_heads(replicas: Sequence[Replica], progress: Watcher, place: Path | None = None) -> None:
    """Give each replica its first run's best weights, and a last layer fitted to validation images.

    Groups count alike in it. It takes one epoch of the history, as its networks are trained already. Test
    images take no part.

    Args:
        replicas: of one run, a seed each.
        progress: is told of each.
        place: where the first run lies, if not where the settings say.

    Raises:
        UsageError: the run is of other settings, seeds or images, or the network's last layer is not linear,
            or not what decides.
        CheckpointError: a checkpoint is missing or damaged.
        DataError: the validation images lack a group.
    """
    for replica in replicas:
        start = perf_counter()
        _take_over(replica, place)
        layer = _last_layer(replica)
        features = _features(replica, layer)
        fitted = _fit(replica, features)
        _set(layer, fitted.layer)
        logits = predict(replica.judged, replica.splits["valid"].images)
        _check_it_decides(replica, fitted.layer, features, logits)
        _keep(replica, logits, perf_counter() - start, progress)
        progress.note(f"seed {replica.seed}: {_in_words(replica, fitted)}")


def _take_over(replica: Replica, place: Path | None) -> None:
    """Load the best weights of the same seed of the run, once it was found to be the same run."""
    path = head_file(replica.config.robustness, replica.seed, place)
    file = read_tensors(path)
    first = read_description(path, file.told)
    _check_same(replica, first.config, path)
    if first.seed != replica.seed or first.split_sha256 != replica.origin.digests:
        raise UsageError(
            f"{PATH} was trained on other images or as another seed than seed {replica.seed} of this run",
            path=path,
            advice="retrain the last layer of a run on the same data, seed by seed",
        )
    check_tensors(path, file.tensors, plain_weights(replica.judged), "this run's weights")
    load_plain_weights(replica.judged, file.tensors)


def _check_same(replica: Replica, first: RunConfig, path: Path) -> None:
    """Refuse a run of other settings: what the result is called would not be what it is."""
    own = {*declared(Robustness), "data", "epochs"}
    changed = [name for name in changed_settings(first, replica.config) if name not in own]
    told = first.robustness
    mixed = told.group_balance != "none" or weighs_images(told)
    if first.training.epochs != replica.config.training.epochs:
        changed.append("epochs")
    if changed or mixed:
        why = (
            changes_in_words(first, replica.config, changed)
            if changed
            else "it counts some images more itself"
        )
        raise UsageError(
            f"{PATH} is of a run with other settings ({why})", path=path, advice="give this one the same"
        )


def _last_layer(replica: Replica) -> nn.Linear:
    model, size = replica.judged, replica.splits["valid"].images.shape[1:]
    channels, height, width = size
    network = model.network if isinstance(model, Tapped) else model
    name = head_of(model.cpu(), (channels, height, width))
    model.to(replica.device)
    layer = network.get_submodule(name)
    if not isinstance(layer, nn.Linear) or layer.bias is None:
        raise UsageError(
            f"retrain_head fits a linear layer with a bias, and the last layer of "
            f"{replica.config.network.model}, {name}, is none; choose another model"
        )
    return layer


def _features(replica: Replica, layer: nn.Linear) -> Tensor:
    """What the last layer is given of the validation images, float (N, D)."""
    seen: list[Tensor] = []
    handle = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach().float().cpu()))
    try:
        logits = predict(replica.judged, replica.splits["valid"].images)
    finally:
        handle.remove()
    found = torch.cat(seen)
    if found.shape != (len(logits), layer.in_features):
        raise UsageError(
            f"the last layer of {replica.config.network.model} is not given one list of features for each "
            "image, so it cannot be fitted by itself; choose another model"
        )
    return found


def _fit(replica: Replica, features: Tensor) -> Fitted:
    valid, column, data = replica.splits["valid"], replica.origin.column, replica.config.source.data
    assert column is not None
    labels = valid.labels.numpy()
    groups: Groups = grouped(column.by, labels, column.values["valid"])
    check_groups(groups, data, "validation")
    return fitted_last_layer(
        features.double().numpy(),
        labels,
        groups,
        [entry.subject for entry in replica.origin.entries if entry.split == "valid"],
        classes=class_count(replica.splits),
        seed=replica.seed,
        data=data,
    )


def _set(layer: nn.Linear, fitted: LastLayer) -> None:
    weight, bias = torch.from_numpy(fitted.weight), torch.from_numpy(fitted.bias)
    if layer.out_features == 1 and len(weight) == 2:
        # A single output is the logit of class 1, so what tells it from class 0.
        weight, bias = weight.diff(dim=0), bias.diff(dim=0)
    with torch.no_grad():
        layer.weight.copy_(weight)
        assert layer.bias is not None
        layer.bias.copy_(bias)


def _check_it_decides(replica: Replica, fitted: LastLayer, features: Tensor, logits: Tensor) -> None:
    """Refuse a network whose answers are not what its last layer gives, as where its outputs are scaled."""
    wanted = torch.from_numpy(fitted.logits(features.double().numpy())).softmax(dim=1)
    if float((logits.double().softmax(dim=1) - wanted).abs().max()) > _APART:
        raise UsageError(
            f"{replica.config.network.model} changes what its last layer gives before it answers, so that "
            "layer cannot be fitted by itself; choose another model"
        )


def _keep(replica: Replica, logits: Tensor, seconds: float, progress: Watcher) -> None:
    loss = float(F.cross_entropy(logits.double(), replica.splits["valid"].labels))
    splits = ["train", "valid"] if replica.config.training.eval_train else ["valid"]
    splits += [] if replica.other is None else [IID]
    scores = {split: split_scores(replica, split, 0) for split in splits}
    row = history_row(replica, {"loss": loss, "classify": loss}, scores, seconds)
    replica.best_weights = snapshot(replica.judged)
    keep_other(replica, row)
    keep_row(replica, row, is_best=True)
    write_what_follows(replica)
    progress.epoch(replica.seed, row)


def _in_words(replica: Replica, fitted: Fitted) -> str:
    total = len(replica.splits["valid"])
    return (
        f"the last layer was fitted to {fitted.used} of {total} validation images, as the mean of {DRAWS} "
        f"draws of {fitted.per_group} images of each group (C = {fitted.strength:g}), so validation scores "
        "are of images that it knows; test images took no part"
    )

"""A checkpoint of this package as a predictor."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from activmask.ground.errors import PATH, CheckpointError, DataError, UsageError
from activmask.models.foreign_code import counted
from activmask.models.inference import classifier
from activmask.models.weights import refuse_pickled
from activmask.predictors.asked import Asked, FoundPredictor
from activmask.predictors.passes import images_at_once, in_passes
from activmask.predictors.predictor import Predictor
from activmask.predictors.preprocessing import Preprocessing
from activmask.runs.checkpoint import Checkpoint, load_checkpoint
from activmask.runs.checkpoint_paths import search_checkpoints
from activmask.runs.tensor_file import has_header


def own_checkpoint(path: Path, code: Sequence[str | Path] = ()) -> Checkpoint:
    """The checkpoint of this package that a file is, or the one that a folder holds, its best.

    Args:
        path: of the file or folder.
        code: as in `load_checkpoint`.

    Raises:
        CheckpointError: there is none, or several, or the file is another program's.
    """
    refuse_pickled(path)
    if path.suffix == ".safetensors" and path.is_file() and not has_header(path):
        raise CheckpointError(
            f"{PATH} holds weights, and does not say of which network",
            path=path,
            advice="name the network, such as torchvision:resnet18, and give this file as its weights",
        )
    found = search_checkpoints(path).paths
    if len(found) > 1:
        raise CheckpointError(
            f"{PATH} holds {len(found)} checkpoints, and an audit is of one",
            path=path,
            advice=f"give one of them, such as {found[0]}",
        )
    return load_checkpoint(found[0], code=code, multi_label=True)


def of_checkpoint(
    checkpoint: Checkpoint, images: Tensor, asked: Asked, device: torch.device
) -> FoundPredictor:
    """The predictor of a checkpoint.

    Raises:
        CheckpointError: its network does not know the classes.
        DataError: it was not made for such images.
        UsageError: something is said that a checkpoint tells itself.
    """
    _check_fit(checkpoint, images, asked)
    model = checkpoint.model.to(device).eval()
    side = checkpoint.image_size
    quick = classifier(model, images[:1].to(device))
    at_once, name = images_at_once((side, side), device), str(checkpoint.path)

    def predict(images: Tensor) -> Tensor:
        return in_passes(name, lambda part: quick(part.to(device)), images, at_once)

    predictor = Predictor(
        name=name,
        outputs=checkpoint.classes,
        predict=predict,
        module=model,
        multi_label=checkpoint.multi_label,
    )
    return FoundPredictor(predictor=predictor, checkpoint=checkpoint)


def _check_fit(checkpoint: Checkpoint, images: Tensor, asked: Asked) -> None:
    if asked.preprocessing != Preprocessing():
        raise UsageError(
            "a checkpoint of activmask tells itself how its images are prepared; leave out "
            f"'{asked.preprocessing.in_words() or 'the function'}'"
        )
    strange = asked.multi_label and not checkpoint.multi_label
    if strange or asked.class_outputs is not None or asked.outputs not in {None, "logits"}:
        raise UsageError(
            "a checkpoint of activmask has a logit of each class; leave out multi-label, outputs and class "
            "outputs"
        )
    if checkpoint.multi_label and asked.class_names and not asked.multi_label:
        raise CheckpointError(
            f"{PATH} tells labels that do not exclude each other, and the data have classes that do",
            path=checkpoint.path,
            advice="judge it on data like those it was trained on",
        )
    side = checkpoint.image_size
    expected, found = (checkpoint.channels, side, side), tuple(images.shape[1:])
    if expected != found:
        raise DataError(
            "the images do not fit the checkpoint's network",
            expected=f"{side} x {side} px with {counted(checkpoint.channels)}",
            found=f"{found[2]} x {found[1]} px with {found[0]}",
            advice="judge it on images like those it was trained on",
        )
    known, names = checkpoint.class_names, asked.class_names
    # Labels that are called by their numbers have no names that could be others.
    named = known and names != tuple(map(str, range(len(names))))
    if names and (len(names) != checkpoint.classes or (named and known != names)):
        raise CheckpointError(
            f"{PATH} knows other classes than the data",
            path=checkpoint.path,
            expected=", ".join(names),
            found=", ".join(known) if known else f"{checkpoint.classes} without names",
            advice="judge it on data with the same classes",
        )

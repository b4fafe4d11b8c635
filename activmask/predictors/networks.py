"""A network of torch, whoever made it, as a predictor.

Shapes: B images, C channels, H x W pixels.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from activmask.ground.errors import CheckpointError
from activmask.kernels.torch_private import watch
from activmask.machine.settings_kept import settings_kept
from activmask.models.foreign_code import failures_told, first_line, sides_in_words
from activmask.models.inference import alike, classifier
from activmask.models.pass_facts import stray_weights
from activmask.models.returned import scores_in
from activmask.models.taps import Tapped, device_of
from activmask.predictors.asked import Asked, FoundPredictor, read_as
from activmask.predictors.checks import behaviour_notes
from activmask.predictors.passes import images_at_once, in_passes
from activmask.predictors.predictor import Predictor
from activmask.predictors.preprocessing import Preprocessing, prepared_by

_ADVICE = "say how images are prepared for it: channels, size, mean and std, or a function"


_STRAY = (
    "{name} computes with weights that it does not hold ({count} tensors, of a layer outside of it, or in a "
    "plain list): they are as its code made them, whatever a file of weights says."
)


class Handed(nn.Module):
    """Images as a network takes them: in its type of numbers, and its own where it writes to them."""

    def __init__(self, dtype: torch.dtype, *, copied: bool) -> None:
        """Images of floats of a `dtype`, `copied` or as they are."""
        super().__init__()
        self.dtype, self.copied = dtype, copied

    def forward(self, images: Tensor) -> Tensor:
        """Hand over images (B, C, H, W)."""
        return images.to(self.dtype, copy=self.copied)


def of_network(
    network: nn.Module, images: Tensor, asked: Asked, *, name: str, device: torch.device
) -> FoundPredictor:
    """A predictor of any network that classifies images.

    It works on a copy of the network's structure, in evaluation mode, that shares the weights, so that
    the network stays as it is. A network that cannot be copied, or whose copy answers otherwise, as where a
    hook holds the network that it was made for, is put into evaluation mode and stays so.

    Args:
        network: from images (B, C, H, W), as `asked.preprocessing` makes them, to scores.
        images: float (B, C, H, W) in [0, 1], B at least 1: some that it will be asked to judge.
        asked: what is said of it.
        name: what it is called.
        device: where it is to compute.

    Raises:
        CheckpointError: it fails, or does not classify these images.
        UsageError: what was said does not fit it.
    """
    _refuse_lazy(network, name)
    how, said = _with_channels(network, images, asked.preprocessing)
    sample = images.to(device)
    prepare, prepared = prepared_by(how, sample[:1], name)
    dtype = next(
        (weight.dtype for weight in network.parameters() if weight.is_floating_point()), prepared.dtype
    )
    # Not one of the images: what the network may have kept of such a pass would be in its copy.
    with torch.no_grad(), failures_told(name, f"to prepare {sides_in_words(sample)}"):
        unseen = prepare(1 - sample[:1]).to(dtype)
    own, notes = _own(network, unseen, name, device)
    copied = not _keeps(name, own, prepared.to(dtype))
    prepare = nn.Sequential(prepare, Handed(dtype, copied=copied))
    at_once = images_at_once((prepared.shape[2], prepared.shape[3]), device)

    def raw(part: Tensor) -> Tensor:
        return scores_in(own(prepare(part)), len(part))

    with failures_told(name, f"on {sides_in_words(sample)}"):
        scores = in_passes(name, raw, sample, at_once)
    reading, guessed = read_as(name, scores, asked, of_network=True)
    model = Tapped(own, before=prepare, after=reading.logits, copyable=own is not network).eval()
    quick = classifier(model, sample[:1])

    def predict(images: Tensor) -> Tensor:
        with failures_told(name, f"on {sides_in_words(images)}"):
            return in_passes(name, lambda part: quick(part.to(device)), images, at_once)

    logits = reading.logits(scores, len(scores)).float()
    gradients, without = _gradients(name, model, sample[:1])
    predictor = Predictor(
        name=name,
        outputs=logits.shape[1],
        predict=predict,
        multi_label=asked.multi_label,
        probabilities=reading.kind != "scores",
        preprocessing=how,
        module=model if gradients else None,
    )
    notes += [*said, *guessed, *behaviour_notes(predictor, images, logits), *without]
    return FoundPredictor(predictor=predictor, notes=tuple(notes))


def _own(network: nn.Module, unseen: Tensor, name: str, device: torch.device) -> tuple[nn.Module, list[str]]:
    """A network to be changed at will, on a device and in evaluation mode.

    Args:
        network: to be copied.
        unseen: an image (1, C, H, W) as it takes them, that it never saw.
        name: what it is called.
        device: where it is to compute.
    """
    held = [*network.parameters(), *network.buffers()]
    # A copy's memo says what stands for what: weights for themselves, so that they take no memory; but
    # moving a module moves the tensors that it shares.
    moves = any(tensor.device != device for tensor in held)
    shared = {} if moves else {id(weight): weight for weight in network.parameters()}
    scripted = any(isinstance(module, torch.jit.ScriptModule) for module in network.modules())
    try:
        # The code of a script goes on computing with the weights that it was compiled for.
        own, why = (network, f"{name} is a script") if scripted else (copy.deepcopy(network, shared), "")
    except Exception as error:  # noqa: BLE001 - what cannot be copied raises anything, and is told
        own, why = network, f"{name} cannot be copied ({first_line(error)})"
    if own is not network and not _stands_for(network, own, unseen.to(device_of(network))):
        own, why = network, f"{name} is asked itself, as a copy of it answers otherwise"
    notes = [f"{why}: it was put into evaluation mode and stays so."] if why else []
    with failures_told(name, f"to be moved to {device}"):
        return own.to(device).eval(), notes


def _stands_for(network: nn.Module, own: nn.Module, image: Tensor) -> bool:
    """Whether a copy of a network answers an image (1, C, H, W) as the network does in evaluation.

    A function is shared by all copies: a hook, or a forward that was set, goes on with the network that it
    was made for, its mode and whatever is kept there. What neither answers is told later.
    """
    ran: list[nn.Module] = []
    with _at_rest(network):
        hooks = [
            module.register_forward_pre_hook(lambda one, _: ran.append(one)) for module in network.modules()
        ]
        try:
            of_copy = _answer(own.eval(), image)
        finally:
            for hook in hooks:
                hook.remove()
        expected = _answer(network, image)
    if of_copy is None or expected is None:
        return of_copy is expected
    return not ran and alike(of_copy, expected)


def _answer(network: nn.Module, image: Tensor) -> Tensor | None:
    """The scores (1, K) of an image; None where there are none."""
    try:
        with settings_kept(), torch.no_grad():
            return scores_in(network(image.clone()), 1)
    except Exception:  # noqa: BLE001 - others' code raises anything
        return None


@contextmanager
def _at_rest(network: nn.Module) -> Iterator[None]:
    """A network is in evaluation mode within; its mode and buffers are afterwards as they were."""
    training = [module for module in network.modules() if module.training]
    buffers = [
        (module, name, buffer, buffer.clone())
        for module in network.modules()
        for name, buffer in module.named_buffers(recurse=False)
    ]
    network.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
        for module, name, buffer, before in buffers:
            if not torch.equal(buffer, before):
                buffer.copy_(before)
            if getattr(module, name) is not buffer:
                setattr(module, name, buffer)


def _refuse_lazy(network: nn.Module, name: str) -> None:
    if any(isinstance(weight, UninitializedParameter) for weight in network.parameters()):
        raise CheckpointError(
            f"{name} has lazy layers, which have no weights yet",
            advice="show the network an image, or give it a file of its weights",
        )


def _with_channels(network: nn.Module, images: Tensor, how: Preprocessing) -> tuple[Preprocessing, list[str]]:
    """A preprocessing with the channels that the first convolution takes, if nobody says."""
    if how.function is not None or how.channels is not None:
        return how, []
    first = next((module for module in network.modules() if isinstance(module, nn.Conv2d)), None)
    given, taken = images.shape[1], None if first is None else first.in_channels
    if (given, taken) not in {(1, 3), (3, 1)}:
        return how, []
    told = (
        "Grey images are repeated to the 3 channels" if given == 1 else "Colours become the one grey channel"
    )
    return replace(how, channels=taken), [f"{told} that its first convolution takes."]


def _keeps(name: str, network: nn.Module, prepared: Tensor) -> bool:
    """Whether a network leaves the images as they are, of one (1, C, H, W) that it is tried on."""
    trial = prepared.clone()
    is_unchanged = watch(trial)
    with torch.no_grad(), failures_told(name, f"on {sides_in_words(prepared)}", _ADVICE):
        network(trial)
    return is_unchanged()


def _gradients(name: str, model: nn.Module, image: Tensor) -> tuple[bool, list[str]]:
    """Whether gradients by the image can be had, and if not, why."""
    watched = image.clone().requires_grad_()
    try:
        with torch.enable_grad():
            logits = model(watched, reconstruct=False).logits
            stray = stray_weights(model, logits)
            (gradient,) = torch.autograd.grad(logits.sum(), watched)
    except Exception as error:  # noqa: BLE001 - others' code raises anything, and it is told
        why = first_line(error)
    else:
        if bool(gradient.isfinite().all()):
            return True, [_STRAY.format(name=name, count=len(stray))] if stray else []
        why = "they are not finite"
    return False, [f"{name} gives no gradients by the image ({why}): maps that need them are left out."]

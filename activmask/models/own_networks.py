"""What a user's own function makes, fitted to a run's images and classes, with its taps found.

Shapes: B images, C channels, H x W pixels, K classes.
"""

import inspect
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from activmask.ground.errors import CheckpointError, UsageError
from activmask.kernels.torch_private import watch
from activmask.models.fitting import fit_channels, last_layer, replace_head
from activmask.models.foreign_code import failures_told, sides_in_words
from activmask.models.own_code import code_of
from activmask.models.pass_facts import ends_in_sigmoid, stray_weights
from activmask.models.returned import of_two_classes, scores_in, sum_to_one
from activmask.models.steadiness import refuse_unsteady
from activmask.models.taps import Tapped
from activmask.models.user_code import folder_of, looked_in, user_function

Make = Callable[[], nn.Module]

_TRIED = 4
"""Images that a network is tried on; one of them alone would hide that others' scores are mixed up."""


class Copied(nn.Module):
    """Images for a network that writes to them."""

    def forward(self, images: Tensor) -> Tensor:
        """Hand over a copy of images (B, C, H, W)."""
        return images.clone()


def own_network(name: str, *, channels: int, classes: int, image_size: int) -> Tapped:
    """The network that the function `file.py:function` makes; its code runs.

    The function may take `channels`, `classes` and `image_size`, whichever it names. A network that was not
    told them is fitted: its first convolution gets the channels of the images where it does not take them as
    they are, as one that repeats grey to three channels itself does; its last layer an output of
    each class. One output is taken for the logit of class 1 of two.

    Args:
        name: of the function, in its file.
        channels: C of the images.
        classes: K.
        image_size: H = W in px.

    Returns:
        It with what it is to be told of in `notes`; initial weights drawn from torch's global generator.

    Raises:
        UsageError: there is no such file or function, or what it makes is no classifier to be trained.
        CheckpointError: the code fails.
    """
    file, function = code_of(name)
    facts = {"channels": channels, "classes": classes, "image_size": image_size}
    make, told = _called(name, user_function(str(file), function), facts)
    network, notes = _made(name, make)
    images = torch.rand(
        (_TRIED, channels, image_size, image_size), generator=torch.Generator().manual_seed(0)
    )
    if "channels" not in told and not _takes(name, network, images):
        notes += fit_channels(network, channels, name)
    scores, keeps = _scores(name, network, images)
    if not _fits(scores, classes):
        notes += _with_head(name, network, images, scores.shape[1], classes, told=set(told))
        scores, keeps = _scores(name, network, images)
    _refuse_what_passes_show(name, network, images)
    refuse_unsteady(name, network, images)
    if scores.shape[1] == 1:
        notes.append(f"the one output of {name} is taken for the logit of class 1")
    model = Tapped(network, before=None if keeps else Copied(), after=logits_of, notes=tuple(notes))
    return model.train()


def logits_of(returned: object, images: int) -> Tensor:
    """Logits (B, K) of what a network returned for so many images (raises as `scores_in`)."""
    scores = scores_in(returned, images)
    return of_two_classes(scores) if scores.shape[1] == 1 else scores


def _called(name: str, function: Callable[..., Any], facts: Mapping[str, int]) -> tuple[Make, dict[str, int]]:
    """The function as one without arguments, and what it is told."""
    with failures_told(name, "to tell its parameters"):
        parameters = inspect.signature(function).parameters.values()
    by_name = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}
    told = {one.name: facts[one.name] for one in parameters if one.kind in by_name and one.name in facts}
    needed = [
        one.name
        for one in parameters
        if one.default is one.empty
        and one.name not in told
        and one.kind not in {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    ]
    if needed:
        raise UsageError(
            f"{name} needs the argument {needed[0]}, which training does not have",
            advice=f"give it a default; a function may take {', '.join(facts)}",
        )
    return lambda: function(**told), told


def _made(name: str, make: Make) -> tuple[nn.Module, list[str]]:
    """A fresh network, once others made under the same seed and under another one were compared with it."""
    state = torch.get_rng_state()
    torch.rand(1)
    other = _drawn(name, make)
    torch.set_rng_state(state)
    one = _drawn(name, make)
    torch.set_rng_state(state)
    network = _drawn(name, make)
    for before in (other, one):
        if before is network or {*map(id, _tensors(before))} & {*map(id, _tensors(network))}:
            raise UsageError(
                f"{name} returns the same network, or weights of it, when it is called again, so seeds would "
                "train each other's; make a new one in each call"
            )
    if not _alike(one, network):
        raise UsageError(
            f"{name} makes other initial weights when it is called again under the same seed, so no run of "
            "it could be repeated; draw them from torch's global generator"
        )
    same = f"{name} gives every seed the same initial weights, so seeds differ in order and shuffles alone"
    return network, [same] if _alike(other, network) else []


def _drawn(name: str, make: Make) -> nn.Module:
    file, _ = code_of(name)
    with looked_in(folder_of(str(file))), failures_told(name, "when it is called"):
        network = make()
    if not isinstance(network, nn.Module):
        raise CheckpointError(
            f"{name} has to return a network of torch",
            expected="an nn.Module",
            found="nothing" if network is None else f"a {type(network).__name__}",
        )
    _check_numbers(name, network)
    return network


def _tensors(network: nn.Module) -> list[Tensor]:
    return [*network.parameters(), *network.buffers()]


def _alike(one: nn.Module, other: nn.Module) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


def _check_numbers(name: str, network: nn.Module) -> None:
    weights = [*network.parameters()]
    if any(isinstance(weight, UninitializedParameter) for weight in weights):
        raise UsageError(f"the network of {name} has lazy layers, whose sizes are not known; say them")
    if not all(isinstance(one, Tensor) for one in network.state_dict().values()):
        raise UsageError(f"the state of the network of {name} holds more than tensors, which no file does")
    if not any(weight.requires_grad for weight in weights):
        raise UsageError(f"the network of {name} has no weights that could be trained")
    odd = next((key for key, weight in network.named_parameters() if weight.dtype != torch.float32), None)
    if odd is not None:
        raise UsageError(
            f"the weights of {name} must be float32; 'precision' decides the arithmetic of its passes",
            found=f"{odd} is {str(network.get_parameter(odd).dtype).removeprefix('torch.')}",
        )


def _fits(scores: Tensor, classes: int) -> bool:
    return scores.shape[1] == classes or (scores.shape[1] == 1 and classes == 2)


def _scores(name: str, network: nn.Module, images: Tensor) -> tuple[Tensor, bool]:
    """The scores (B, K') of images, in either mode, and whether the network leaves images as they are."""
    where = f"on {sides_in_words(images)}"
    with failures_told(name, "to be copied, as trying it takes"):
        trial = deepcopy(network)
    found, keeps = [], True
    for mode in ("training", "evaluation"):
        shown = images.clone()
        is_unchanged = watch(shown)
        with torch.no_grad(), failures_told(name, f"{where} in {mode}"):
            found.append(scores_in(trial.train(mode == "training")(shown), len(images)))
        keeps = keeps and is_unchanged()
    if found[0].shape != found[1].shape:
        raise CheckpointError(
            f"{name} has other outputs in training than in evaluation",
            expected=tuple(found[1].shape),
            found=tuple(found[0].shape),
        )
    return found[1], keeps


def _takes(name: str, network: nn.Module, images: Tensor) -> bool:
    """Whether a network takes images of these channels as it is."""
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad(), failures_told(name, "to be tried"):
            deepcopy(network).eval()(images.clone())
    except CheckpointError:
        return False
    return True


def _with_head(
    name: str, network: nn.Module, images: Tensor, outputs: int, classes: int, *, told: set[str]
) -> list[str]:
    advice = "let the function take 'classes'"
    if "classes" in told:
        raise UsageError(f"{name} was told {classes} classes and has {outputs} outputs")
    head = last_layer(network, images)
    if not replace_head(network, head, outputs, classes):
        raise UsageError(
            f"{name} has {outputs} outputs, the data {classes} classes, and its last layer is none that "
            f"could be replaced; {advice}"
        )
    with torch.no_grad(), failures_told(name, f"with a last layer of {classes} outputs", advice):
        found = scores_in(deepcopy(network).eval()(images.clone()), len(images)).shape[1]
    if found != classes:
        raise UsageError(f"{name} still has {found} outputs with a last layer of {classes}; {advice}")
    return [f"the last layer of {name}, {head}, had {outputs} outputs and is a new one of {classes}"]


def _refuse_what_passes_show(name: str, network: nn.Module, images: Tensor) -> None:
    """Refuse probabilities, and weights that nobody would train or save."""
    trial = deepcopy(network).eval()
    with torch.enable_grad(), failures_told(name, f"with gradients on {sides_in_words(images)}"):
        scores = scores_in(trial(images.clone()), len(images))
    in_sigmoid = scores.shape[1] == 1 and ends_in_sigmoid(scores)
    if in_sigmoid or sum_to_one(scores.detach()):
        what, by = ("lie in [0, 1]", "sigmoid") if in_sigmoid else ("of every image add up to 1", "softmax")
        raise UsageError(
            f"the outputs of {name} {what}, as probabilities do, and training needs logits; leave out the "
            f"{by} at its end"
        )
    stray = stray_weights(trial, scores)
    if stray and not stray_weights(nn.ModuleList([trial, network]), scores):
        raise UsageError(
            f"a copy of the network of {name} computes with the weights of the network itself, and training "
            "judges copies",
            advice="make its forward and its hooks methods that hold no network, and no script of it",
        )
    if stray:
        tensors = f"{len(stray)} tensor{'s' * (len(stray) > 1)}"
        raise UsageError(
            f"the network of {name} computes with {tensors} of weights that it does not hold, which would be "
            "neither trained nor saved",
            found=f"one of shape {stray[0]}",
            advice="make their layer an attribute of the network, those of a list an nn.ModuleList",
        )

"""The optimizer of a network, its learning rate step by step, and the running mean of its weights."""

import inspect
import math
from collections.abc import Iterator
from copy import deepcopy
from itertools import chain

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from activmask.runs.optimisation import Optimisation, changes_rate


class _Uncompiled(torch.optim.Adam):
    """Torch's, without what keeps it out of compiled code: at its first call that imports the compiler."""

    add_param_group = inspect.unwrap(torch.optim.Adam.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.Adam.zero_grad)
    state_dict = inspect.unwrap(torch.optim.Adam.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.Adam.load_state_dict)
    step = torch.no_grad()(inspect.unwrap(torch.optim.Adam.step))


class _UncompiledAdamW(_Uncompiled, torch.optim.AdamW):
    """The same of AdamW."""


def new_optimizer(module: nn.Module, lr: float, how: Optimisation) -> torch.optim.Adam:
    """Adam (Kingma & Ba 2015) or AdamW (Loshchilov & Hutter 2019) for all of a module's weights."""
    if how.optimizer == "adamw":
        return _UncompiledAdamW(module.parameters(), lr=lr, weight_decay=how.weight_decay, fused=True)
    return _Uncompiled(module.parameters(), lr=lr, fused=True)


def learning_rates(how: Optimisation, lr: float, *, epoch: int, epochs: int, steps: int) -> list[float]:
    """The learning rate of each step of an epoch; empty where it never changes.

    With W steps of warm-up and T in all, step t (from 0) has the rate lr (t + 1) / W as long as t < W;
    then lr, or under `cosine` lr (1 + cos(pi (t - W) / (T - W))) / 2 (Loshchilov & Hutter 2017,
    arXiv 1608.03983, Eq. 5, without restarts).

    Args:
        how: says which.
        lr: the highest.
        epoch: from 0.
        epochs: of the whole run.
        steps: of an epoch.
    """
    if not changes_rate(how):
        return []
    warm, total = how.warmup * steps, epochs * steps
    shares = [_share(how, step, warm, total) for step in range(epoch * steps, (epoch + 1) * steps)]
    # In single precision, in which devices hold a rate that changes.
    return [float(np.float32(lr * share)) for share in shares]


def _share(how: Optimisation, step: int, warm: int, total: int) -> float:
    if step < warm:
        return (step + 1) / warm
    if how.schedule == "constant":
        return 1.0
    return (1 + math.cos(math.pi * (step - warm) / (total - warm))) / 2


def set_rate(optimizer: torch.optim.Optimizer, rate: float | Tensor) -> None:
    """Have the next step take a learning rate, a float or a scalar on the weights' device."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def new_average(model: nn.Module, how: Optimisation) -> nn.Module | None:
    """A copy of a network to hold the running mean of its weights, where one is asked for."""
    return deepcopy(model).requires_grad_(requires_grad=False) if how.ema else None


def move_average(average: nn.Module, model: nn.Module, how: Optimisation) -> None:
    """Move the running mean by one step: mean <- ema mean + (1 - ema) weights, running statistics too.

    It begins at the weights before the first step (Polyak & Juditsky 1992, in exponential form). Whole
    numbers, as counts of batches, are the network's.
    """
    with torch.no_grad():
        pairs = list(zip(_tensors(average), _tensors(model), strict=True))
        moving = [(mean, own) for mean, own in pairs if own.is_floating_point()]
        means, owns = ([pair[part] for pair in moving] for part in (0, 1))
        get_ema_multi_avg_fn(how.ema)(means, owns, 0)  # type: ignore[no-untyped-call, unused-ignore]
        for mean, own in pairs:
            if not own.is_floating_point():
                mean.copy_(own)


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    return chain(module.parameters(), module.buffers())

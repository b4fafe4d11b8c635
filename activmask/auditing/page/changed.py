"""The images whose score the outside of the mask matters most to.

Shapes: N images, n of which take part in the conditions, C channels, H x W pixels, K classes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from activmask.auditing.audited import Audited
from activmask.auditing.conditions.conditions import taking_part
from activmask.auditing.conditions.versions import FULL
from activmask.auditing.looks.explained import explainable, maps_of, why_no_map
from activmask.data.samples import as_picture
from activmask.evaluation.curves import one_against_rest
from activmask.saliency.methods import USUAL_METHOD

DESTROYED = "outside shuffled"
"""The condition that images are compared with: all that it leaves untouched lies inside the masks."""

_MOST_PX = 256
"""Of a side that is drawn; larger images are drawn smaller."""


@dataclass(frozen=True, kw_only=True)
class Changed:
    """One image, its mask and its map, and what the outside did to its score."""

    name: str
    """Foreign text."""
    true: str
    """The name of its class; foreign text."""
    full: float
    """The probability of its class, or its score where scores mean no probability."""
    destroyed: float
    """The same with the outside destroyed, mean over draws."""
    image: NDArray[np.float32]
    """(H, W) or (H, W, 3) in [0, 1]."""
    mask: NDArray[np.bool_]
    """(H, W)"""
    method: str
    """Of the map."""
    attribution: NDArray[np.float32] | None
    """(H, W), at least 0; None where the method has no map of this classifier."""


def most_changed(audited: Audited, count: int) -> tuple[Changed, ...]:
    """The images of the greatest change, up to a count; none without conditions.

    Images that borrowed a mask are left out: what lies in it is no region of theirs.
    """
    if FULL not in audited.answers or DESTROYED not in audited.answers:
        return ()
    samples = audited.material.samples
    part = taking_part(samples, audited.seed)
    labels = samples.labels[part.rows].numpy()
    full = _of_true(audited, audited.answers[FULL], labels)
    destroyed = _of_true(audited, audited.answers[DESTROYED], labels)
    own = (part.rows == part.masks).numpy()
    order = [k for k in np.argsort(-np.abs(full - destroyed), kind="stable").tolist() if own[k]][:count]
    if not order:
        return ()
    rows = part.rows[order].tolist()
    images, masks = samples.images[rows], samples.masks[rows]
    method = _method(audited)
    maps = _maps(audited, images, audited.answers[FULL][0, order], samples.labels[rows], method)
    return tuple(
        Changed(
            name=samples.names[row],
            true=audited.material.class_names[int(samples.labels[row])],
            full=float(full[place]),
            destroyed=float(destroyed[place]),
            image=as_picture(_smaller(images[k]).clamp(0, 1)),
            mask=_smaller(masks[k].float())[0].numpy() > 0.5,
            method=method,
            attribution=None if maps is None else _smaller(maps[k][None])[0].numpy(),
        )
        for k, (place, row) in enumerate(zip(order, rows, strict=True))
    )


def _of_true(audited: Audited, logits: Tensor, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """The true class's probability, or its log odds, (n,), mean over draws of logits (draws, n, K)."""
    if audited.predictor.probabilities:
        every = logits.double().softmax(dim=2).numpy()
        return np.asarray(every[:, np.arange(len(labels)), labels].mean(axis=0))
    classes = logits.shape[2]
    odds = np.stack([[one_against_rest(one.double().numpy(), k) for k in range(classes)] for one in logits])
    return np.asarray(odds[:, labels, np.arange(len(labels))].mean(axis=0))


def _method(audited: Audited) -> str:
    """The first method that has maps, else the usual one."""
    methods = [one.method for one in audited.looks.methods if one.n] if audited.looks is not None else []
    return methods[0] if methods else USUAL_METHOD


def _maps(audited: Audited, images: Tensor, logits: Tensor, labels: Tensor, method: str) -> Tensor | None:
    """Maps (n, H, W) of the true classes; None where there are none."""
    predictor = audited.predictor
    if why_no_map(method, predictor):
        return None
    network, scores = explainable(predictor, logits)
    return maps_of(network, scores, images, method=method, targets=labels, sign="absolute", seed=audited.seed)


def _smaller(values: Tensor) -> Tensor:
    """Values (C, H, W) with sides of at most so many px, by the means of areas."""
    factor = max(values.shape[-2:]) / _MOST_PX
    if factor <= 1:
        return values
    sides = [max(1, round(side / factor)) for side in values.shape[-2:]]
    return F.interpolate(values[None], sides, mode="area")[0]

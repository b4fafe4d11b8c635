"""What a whole audit costs beside the forward passes of its conditions alone, at the size of the aim.

    python -m benchmarks audit-at-scale

audits 10,000 images of 128 px by a ResNet-18 and asks for at most 1.3 times the bare passes. Half of the
images make their bare passes before the audit and half after it, so that a machine that changes its pace
is seen by both; and the audit is held to the quickest of what those halves and its own first pass would
make of all passes, so that nothing that slows the bare ones flatters it. With `--images 300` it says in
minutes what the parts of the audit cost: what is there once, whatever the number of images (looks, last
features, probes), and what each image takes.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from time import perf_counter

from torch import nn
from torchvision.models import resnet18

from activmask.auditing.audit import audit
from activmask.auditing.audited import Audited
from activmask.data.samples import Samples
from benchmarks.command import Findings
from benchmarks.result import Cell, column
from benchmarks.speed_audit import PASSES, bare_passes, drawn

AIM = 1.3
PREDICTING = "predicting"
"""What an audit calls its pass over the images as they are."""


def add_options(parser: ArgumentParser) -> None:
    """Declare how much to audit."""
    parser.add_argument("--images", type=int, default=10_000, help="how many (default: 10,000)")
    parser.add_argument("--side", type=int, default=128, help="of each, in px (default: 128)")


def measure(given: Namespace) -> Iterator[Findings]:
    """Time the bare passes, the audit, and its stages."""
    samples = drawn(given.images, given.side)
    model = resnet18(num_classes=2).eval()
    half = given.images // 2
    before = _seconds(lambda: bare_passes(model, samples.images[:half]))
    whole, clock = _parts(model, samples)
    after = _seconds(lambda: bare_passes(model, samples.images[half:]))
    yield findings(given, before, after, whole, clock)


def findings(
    given: Namespace, before: float, after: float, whole: float, clock: dict[str, float]
) -> Findings:
    """What was measured, all in seconds, as it is published.

    Args:
        given: how much was audited.
        before: of the bare passes of the first half of the images.
        after: of those of the second.
        whole: of the audit.
        clock: of its stages.
    """
    least = {
        f"the {PASSES} bare passes, of which half were before and half after": before + after,
        "twice those before": 2 * before,
        "twice those after": 2 * after,
        f"{PASSES} times the audit's own pass over the images as they are": PASSES * clock[PREDICTING],
    }
    rows: list[list[Cell]] = [[name, seconds, whole / seconds, None, None] for name, seconds in least.items()]
    worst = whole / min(least.values())
    reached = "yes" if worst <= AIM else "no"
    rows.append(["the whole audit, over the quickest of these", whole, worst, {"at most": AIM}, reached])
    rows += [[f"of it: {name}", seconds, None, None, None] for name, seconds in clock.items()]
    return Findings(
        title=f"An audit of {given.images:,} images of {given.side} px by ResNet-18",
        parts=[
            {
                "table": {
                    "columns": [
                        column("what"),
                        column("seconds", "short"),
                        column("the whole audit over that", "short"),
                        column("aim", "short"),
                        column("reached"),
                    ],
                    "rows": rows,
                }
            }
        ],
        behind={
            "images": given.images,
            "side": given.side,
            "before": before,
            "after": after,
            "whole": whole,
            "parts": clock,
        },
    )


def _parts(model: nn.Module, samples: Samples) -> tuple[float, dict[str, float]]:
    """Seconds of a whole audit, and of its stages by what it says that it does."""
    clock: dict[str, float] = {}
    now, since = "start", perf_counter()

    def told(what: str) -> None:
        nonlocal now, since
        clock[now] = clock.get(now, 0.0) + perf_counter() - since
        now, since = what.partition(":")[0], perf_counter()

    def run() -> Audited:
        return audit(
            model,
            samples.images,
            samples.masks[:, 0],
            samples.labels,
            outputs="logits",
            device="cpu",
            told=told,
        )

    whole = _seconds(run)
    told("end")
    return whole, clock


def _seconds(work: Callable[[], object]) -> float:
    start = perf_counter()
    work()
    return perf_counter() - start

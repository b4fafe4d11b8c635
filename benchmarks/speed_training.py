"""How fast the package trains, over the released loop, the tidy eager one and the arithmetic floor."""

from dataclasses import replace
from typing import Any

from activmask.runs.description import changed
from benchmarks.figure import Effort, Figure
from benchmarks.side_by_side import Speeds, pick, race, ratios
from benchmarks.training_contestants import (
    EAGER,
    MATRIX,
    OURS,
    RELEASED,
    RELEASED_NO_GC,
    Workload,
    data_of,
    eager,
    flops_per_image,
    matrix_product,
    ours,
    paper,
    shrunk,
    usable_precision,
)

TRAINED: dict[str, dict[str, Any]] = {
    "unet-actdiff": {"model": "unet", "actdiff": 10.0, "actdiff_norm": "row", "actdiff_at": "pre"},
    "resnet18-actdiff": {"model": "resnet18", "actdiff": 10.0},
    "resnet18-gradmask": {"model": "resnet18", "gradmask": 10.0},
}
"""The settings of what is trained, in the form that its rivals compute; the rest is the preset's."""

REPLICAS = 10
A_QUARTER = Workload(settings={}, train=128, held_out=32)
"""Of the images of every split, where a whole epoch of the released loop takes too long."""


def unet_actdiff(effort: Effort) -> list[Figure]:
    """The paper's UNet (first width 16) with actdiff, against both forms of the released loop."""
    task = Workload(settings=TRAINED["unet-actdiff"])
    return _over_paper_loop("UNet + actdiff", task, 5.0, effort)


def resnet18_actdiff(effort: Effort) -> list[Figure]:
    """ResNet-18 (width 64) with actdiff against the released loop."""
    task = replace(A_QUARTER, settings=TRAINED["resnet18-actdiff"])
    return _over_paper_loop("ResNet-18 + actdiff", task, 1.5, effort)


def resnet18_gradmask(effort: Effort) -> list[Figure]:
    """ResNet-18 (width 64) with gradmask against the released loop."""
    task = replace(A_QUARTER, settings=TRAINED["resnet18-gradmask"])
    return _over_paper_loop("ResNet-18 + gradmask", task, 3.0, effort)


def _over_paper_loop(what: str, task: Workload, target: float, effort: Effort) -> list[Figure]:
    """One seed of ours, images per second, over the released loop and over what the machine could do."""
    task = shrunk(task, effort)
    with data_of(task) as config:
        speeds = race(
            {
                OURS: ours(config, effort),
                RELEASED: paper(config, effort),
                RELEASED_NO_GC: paper(config, effort, collect=False),
                MATRIX: matrix_product(config, effort),
            },
            effort,
            budget_s=240,
        )
        per_image = flops_per_image(config, task)
    what = f"{what}, epochs of {task.train} + {task.held_out} + {task.held_out} images"
    return [
        _over(speeds, RELEASED, what, target),
        _over(speeds, RELEASED_NO_GC, what, None),
        _of_floor(speeds, per_image, what, None),
    ]


def _over(speeds: Speeds, other: str, what: str, target: float | None, precision: str = "fp32") -> Figure:
    return Figure(
        name=f"{what}: images/s over {other}",
        values=ratios(speeds, OURS, other),
        target=target,
        precision=precision,
        behind=pick(speeds, OURS, other),
    )


def _of_floor(
    speeds: Speeds, per_image: float, what: str, target: float | None, precision: str = "fp32"
) -> Figure:
    return Figure(
        name=f"{what}: FLOP/s (by formula) over those of large matrix products",
        values=tuple(per_image * value for value in ratios(speeds, OURS, MATRIX)),
        unit="share",
        target=target,
        precision=precision,
        note=f"{per_image / 1e9:.3g} GFLOP a training image, validation included",
        behind=pick(speeds, OURS, MATRIX),
    )


def gpu_unet_actdiff(effort: Effort) -> list[Figure]:
    """UNet with actdiff, ten seeds."""
    return _many_seeds("UNet + actdiff", TRAINED["unet-actdiff"], "fp32", (1000.0, 30.0, None), effort)


def gpu_resnet18_actdiff(effort: Effort) -> list[Figure]:
    """ResNet-18 with actdiff, ten seeds, bf16."""
    return _many_seeds("ResNet-18 + actdiff", TRAINED["resnet18-actdiff"], "bf16", (200.0, 6.0, 0.35), effort)


def gpu_resnet18_gradmask(effort: Effort) -> list[Figure]:
    """ResNet-18 with gradmask, ten seeds, tf32."""
    return _many_seeds(
        "ResNet-18 + gradmask", TRAINED["resnet18-gradmask"], "tf32", (200.0, 12.0, None), effort
    )


def _many_seeds(
    what: str,
    settings: dict[str, Any],
    precision: str,
    targets: tuple[float, float, float | None],
    effort: Effort,
) -> list[Figure]:
    """Ten seeds of ours, images per second altogether, over one network of each yardstick."""
    precision = usable_precision(precision, effort.device)
    task = shrunk(Workload(settings=settings | {"precision": precision}), effort)
    quarter = task if effort.quick else replace(A_QUARTER, settings=task.settings)
    replicas = 2 if effort.quick else REPLICAS
    with data_of(task) as config, data_of(quarter) as less:
        plain = changed(less, precision="fp32")
        speeds = race(
            {
                OURS: ours(config, effort, replicas),
                EAGER: eager(config, effort),
                RELEASED: paper(plain, effort),
                RELEASED_NO_GC: paper(plain, effort, collect=False),
                MATRIX: matrix_product(config, effort),
            },
            effort,
            budget_s=30,
        )
        per_image = flops_per_image(config, task)
    what = f"{what}, {task.side} px, {replicas} replicas"
    return [
        _over(speeds, RELEASED, what, targets[0], precision),
        _over(speeds, RELEASED_NO_GC, what, None, precision),
        _over(speeds, EAGER, what, targets[1], precision),
        _of_floor(speeds, per_image, what, targets[2], precision),
    ]


def gpu_floor_tf32(effort: Effort) -> list[Figure]:
    """ResNet-18 with actdiff, 28 px, ten seeds, against the arithmetic floor in tf32."""
    return _share_of_floor(Workload(settings=TRAINED["resnet18-actdiff"] | {"precision": "tf32"}), effort)


def gpu_floor_128(effort: Effort) -> list[Figure]:
    """ResNet-18 with actdiff, 128 px, ten seeds, against the arithmetic floor in bf16."""
    large = Workload(
        settings=TRAINED["resnet18-actdiff"] | {"precision": "bf16"}, train=96, held_out=32, side=128
    )
    return _share_of_floor(large, effort)


def _share_of_floor(task: Workload, effort: Effort) -> list[Figure]:
    precision = usable_precision(task.settings["precision"], effort.device)
    task = shrunk(replace(task, settings=task.settings | {"precision": precision}), effort)
    replicas = 2 if effort.quick else REPLICAS
    with data_of(task) as config:
        contestants = {OURS: ours(config, effort, replicas), MATRIX: matrix_product(config, effort)}
        speeds = race(contestants, effort, budget_s=25)
        per_image = flops_per_image(config, task)
    what = f"ResNet-18 + actdiff, {task.side} px, batch {config.training.batch_size}, {replicas} replicas"
    return [_of_floor(speeds, per_image, what, 0.45, precision)]

"""What bf16 costs: validation scores of the same seeds trained in bf16 and in fp32."""

import statistics
from pathlib import Path
from tempfile import TemporaryDirectory

from activmask.runs.description import RunConfig, changed
from activmask.runs.making import make_config
from activmask.training.run import train
from benchmarks.figure import Effort, Figure
from benchmarks.speed_training import TRAINED
from benchmarks.training_contestants import own_data

SEEDS, EPOCHS = 10, 5


def gpu_bf16_scores(effort: Effort) -> list[Figure]:
    """ResNet-18 with actdiff on the synthetic set, paired seeds; smaller is better."""
    seeds, epochs = (2, 1) if effort.quick else (SEEDS, EPOCHS)
    settings = TRAINED["resnet18-actdiff"] | {"epochs": epochs, "device": effort.device.type}
    with own_data(effort) as data:
        config = make_config(**settings, **data)
        scores = {
            precision: _valid_auc(changed(config, precision=precision), seeds)
            for precision in ("fp32", "bf16")
        }
    means = {precision: statistics.fmean(own) for precision, own in scores.items()}
    return [
        Figure(
            name=f"bf16 against fp32, ResNet-18 + actdiff, {epochs} epochs, {seeds} paired seeds: "
            "difference of the mean best validation AUC, the aim being the SD in fp32",
            values=(abs(means["bf16"] - means["fp32"]),),
            unit="AUC",
            target=statistics.stdev(scores["fp32"]),
            at_most=True,
            precision="bf16",
            note=", ".join(
                f"{name} {means[name]:.4f} ± {statistics.stdev(own):.4f}" for name, own in scores.items()
            ),
            behind={f"{name} valid AUC": tuple(own) for name, own in scores.items()},
        )
    ]


def _valid_auc(config: RunConfig, seeds: int) -> list[float]:
    with TemporaryDirectory() as folder:
        results = train(config, range(seeds), Path(folder) / "run")
    return [float(result.metrics["valid"]["auc"]) for result in results]

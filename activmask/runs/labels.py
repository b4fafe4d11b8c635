"""What a run is called in tables and figures, read off its settings."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from activmask.config import FIELDS
from activmask.runs.description import RunConfig, changed
from activmask.runs.presets import default_of
from activmask.training.replicas.state import MAY_CHANGE, changed_settings

MODEL_NAMES = {"cnn": "CNN", "ae": "Conv AE", "unet": "UNet", "resnet18": "ResNet"}
"""The paper's names; any other model is called as in `train`."""

METHOD_FIELDS = (
    "actdiff",
    "actdiff_norm",
    "actdiff_at",
    "actdiff_layers",
    "actdiff_detach",
    "gradmask",
    "gradmask_norm",
    "gradmask_target",
    "rrr",
    "adversarial",
    "adversarial_form",
    "adversarial_steps",
    "adversarial_lr",
    "recon_masked",
    "classify_masked",
    "masked_fill",
    "classify_shuffled",
    "cutout",
    "masks",
    "masks_without",
)
"""The settings in which a method differs from its baseline."""

_UNSEEN = {*MAY_CHANGE, *METHOD_FIELDS, "preset", "data", "model", "correlation"}
_VARIANTS = (
    "actdiff_norm",
    "actdiff_at",
    "actdiff_layers",
    "gradmask_norm",
    "gradmask_target",
    "masked_fill",
    "adversarial_form",
)


def data_name(config: RunConfig) -> str:
    """The data set, by the last part of its folder, for example `Liver`."""
    name = Path(config.source.data).name
    return name if name != name.lower() else name.capitalize()


def model_name(config: RunConfig) -> str:
    """The network, for example `ResNet`."""
    return MODEL_NAMES.get(config.network.model, config.network.model)


def method_name(config: RunConfig) -> str:
    """The objective, for example `Actdiff & Gradmask`, with what sets it apart from the usual form."""
    weights = {"actdiff": "Actdiff", "gradmask": "Gradmask", "rrr": "RRR", "adversarial": "Adversarial"}
    parts = [name for field, name in weights.items() if config[field]]
    parts += {"off": [], "train": ["Classify Masked"], "all": ["Masked Everywhere"]}[
        config["classify_masked"]
    ]
    parts += ["Classify Shuffled"] if config["classify_shuffled"] else []
    parts += ["Reconstruct Masked"] if config["recon_masked"] else []
    parts += [f"Cutout {config['cutout']}"] if config["cutout"] else []
    details = [str(config[name]) for name in _VARIANTS if _unusual(config, name)]
    details += ["detached"] if config["actdiff_detach"] else []
    details += [f"{config.view.masks:.0%} of masks"] if config.view.masks < 1 else []
    details += ["borrowed masks"] if config.view.masks_without == "borrowed" else []
    details += [f"site correlation {config.source.correlation:g}"] if _unusual(config, "correlation") else []
    return ", ".join([" & ".join(parts) or "Classify", *details])


def _unusual(config: RunConfig, name: str) -> bool:
    return bool(config[name] != default_of(name, config.network.model))


def baseline(config: RunConfig) -> RunConfig:
    """The same run without any method: classification alone."""
    defaults: dict[str, Any] = {name: default_of(name, config.network.model) for name in METHOD_FIELDS}
    return changed(config, **defaults)


def test_images(config: RunConfig) -> tuple[object, ...]:
    """What decides which images a run is tested on, and how it sees them, but for its seed.

    Scores on other images differ for reasons that have nothing to do with the method.
    """
    masked = config["classify_masked"] == "all" and config["masked_fill"]
    return (
        config.source.data,
        config.source.split_policy,
        config.source.correlation,
        config.view.evaluate_view,
        masked,
    )


def on_other_images(config: RunConfig) -> bool:
    """Whether a run is tested on other images than classification alone, as one that masks them all."""
    return test_images(baseline(config)) != test_images(config)


def is_baseline(config: RunConfig) -> bool:
    """Whether a run is classification alone."""
    return baseline(config) == config


def same_experiment(one: RunConfig, other: RunConfig) -> bool:
    """Whether two descriptions differ at most in what may change when a run is resumed."""
    return not changed_settings(one, other)


def alike(one: RunConfig, other: RunConfig) -> bool:
    """Whether two descriptions are of one experiment, trained for equally many epochs."""
    return one.epochs == other.epochs and same_experiment(one, other)


def names(config: RunConfig) -> tuple[str, str, str]:
    """Data set, model and method."""
    return data_name(config), model_name(config), method_name(config)


def distinctions(configs: Sequence[RunConfig], folders: Sequence[Path]) -> list[str]:
    """For each run, what tells it from other runs of the same names.

    These are the settings that differ, weights among them where they differ between runs of one
    method, and where all agree as much of the folder's end as differs. An empty text means that
    data, model and method already name the run.

    Args:
        configs: one a run.
        folders: the run folders, one a run.
    """
    settings = [_distinction(config, configs) for config in configs]
    keys = [(*names(config), text) for config, text in zip(configs, settings, strict=True)]
    namesakes = [
        [folder for folder, other in zip(folders, keys, strict=True) if other == key] for key in keys
    ]
    return [
        ", ".join(filter(None, [text, f"in {_ending(folder, others)}" if len(others) > 1 else ""]))
        for text, folder, others in zip(settings, folders, namesakes, strict=True)
    ]


def _ending(folder: Path, others: Sequence[Path]) -> str:
    """The last parts of a folder, as many as it takes for all of them to differ."""
    most = max(len(other.parts) for other in others)
    lengths = (n for n in range(1, most) if len({other.parts[-n:] for other in others}) == len(others))
    return str(Path(*folder.parts[-next(lengths, most) :]))


def _distinction(config: RunConfig, configs: Sequence[RunConfig]) -> str:
    namesakes = [other for other in configs if names(other) == names(config)]
    weights = ("actdiff", "gradmask", "rrr", "adversarial", "adversarial_steps", "adversarial_lr")
    watched = [name for name in FIELDS if name not in _UNSEEN or name in (*weights, "data", "epochs")]
    varying = [name for name in watched if len({getattr(other, name) for other in namesakes}) > 1]
    return ", ".join(f"{name} {config[name]}" for name in varying)

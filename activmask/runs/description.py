"""What describes a run: one frozen object composed of the settings of those who read them.

It is flat for flags, TOML and JSON alone, see `flat`, `written` and `compose`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any, Literal

from activmask.data.settings import Source, View
from activmask.data.sources.presets import presets
from activmask.ground.limits import MOST_COUNT, MOST_RATE, PROCESSES
from activmask.ground.settings import Setting, declared, filled, setting
from activmask.models import find_model
from activmask.models.settings import Network
from activmask.objectives import OBJECTIVES
from activmask.objectives.chosen import Chosen, usual_settings
from activmask.objectives.objective import Objective
from activmask.runs.optimisation import Optimisation
from activmask.runs.robustness import Robustness

Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["fp32", "tf32", "bf16"]
SelectBy = Literal["auc", "accuracy", "loss", "worst_group"]
SelectOn = Literal["valid", "valid_iid"]

WORST_GROUP: Literal["worst_group"] = "worst_group"
"""What selects the best epoch by the accuracy of the group that a network does worst on."""


@dataclass(frozen=True, kw_only=True)
class Preset:
    """Whose settings a run starts from."""

    preset: str = setting("synthetic", "The paper's settings for one of its data sets.", choices=presets)


@dataclass(frozen=True, kw_only=True)
class Training:
    """How the network learns, in which arithmetic, and which of its epochs is kept."""

    epochs: int = setting(500, "Passes over the training images.", least=1, most=MOST_COUNT)
    batch_size: int = setting(32, "Images per step.", least=1, most=MOST_COUNT)
    lr: float = setting(1e-4, "Adam's learning rate.", least=0, most=MOST_RATE)
    eval_train: bool = setting(False, "Score the training images each epoch too.")
    select: SelectBy = setting(
        "auc",
        "What makes an epoch the best: the highest valid AUC, the highest valid accuracy (as the paper's "
        "released code), the lowest valid cross-entropy or the highest valid accuracy of the worst group, "
        "which needs groups; of equal epochs the first.",
    )
    select_on: SelectOn = setting(
        "valid",
        "The validation split that chooses the best epoch: valid, which the paper's data shift as they shift "
        "test, or valid_iid, which is held out of training; the best by the other one is kept too.",
        unsaid=True,
    )
    precision: Precision = setting("fp32", "Arithmetic of the network's passes.")
    sync_batchnorm: bool = setting(
        False, "Under torchrun, normalise batches by the images of all processes together."
    )


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where a run is computed: what changes its results by no more than rounding."""

    device: Device = setting("auto", "Where to compute.")
    threads: int = setting(0, "CPU threads; 0 leaves torch's choice.", least=0, most=PROCESSES.most)
    compile: bool = setting(
        False, "Compile the network's passes; takes a minute first and gains nothing on a CPU."
    )


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """The complete description of one experiment, for any number of seeds.

    The defaults are those of the `synthetic` preset for a ResNet-18; `make_config` applies
    presets and checks that the settings make sense together.
    """

    preset: str = Preset.preset
    source: Source = field(default_factory=Source)
    view: View = field(default_factory=View)
    network: Network = field(default_factory=Network)
    objectives: Chosen = field(default_factory=usual_settings)
    """The settings of every objective in the order of `OBJECTIVES`, those that are off too."""
    training: Training = field(default_factory=Training)
    optimisation: Optimisation = field(default_factory=Optimisation)
    robustness: Robustness = field(default_factory=Robustness)
    machine: Machine = field(default_factory=Machine)

    def __getitem__(self, name: str) -> Any:
        """The value of a setting by its flat name (raises KeyError)."""
        return flat(self)[name]


_PARTS: tuple[tuple[str, type, str], ...] = (
    ("source", Source, "Data"),
    ("view", View, "Data"),
    ("network", Network, "Model"),
    ("objectives", tuple, "Objective"),
    ("training", Training, "Training"),
    ("optimisation", Optimisation, "Optimisation"),
    ("robustness", Robustness, "Groups"),
    ("machine", Machine, "Machine"),
)
"""The parts of a run: attribute, class and the panel of the help that its flags stand in."""


def all_settings() -> Mapping[str, Setting]:
    """Every setting of a run by name, those of all objectives among them, in the order of flags."""
    return _all_settings(tuple(OBJECTIVES.values()))[0]


def panels() -> Mapping[str, str]:
    """The panel of the help that each setting's flag stands in."""
    return _all_settings(tuple(OBJECTIVES.values()))[1]


@cache
def _all_settings(listed: tuple[Objective[Any], ...]) -> tuple[Mapping[str, Setting], Mapping[str, str]]:
    """The settings and their panels while these objectives are listed."""
    found = [("Data", known) for known in declared(Preset).values()]
    for _, part, panel in _PARTS:
        of_objectives = [known for one in listed for known in one.declared().values()]
        found += [(panel, known) for known in (of_objectives if part is tuple else declared(part).values())]
    settings = {known.name: known for _, known in found}
    return MappingProxyType(settings), MappingProxyType({known.name: panel for panel, known in found})


def flat(config: RunConfig) -> dict[str, Any]:
    """Every setting of a run with its value."""
    # A description made before an objective was listed lacks that one's settings.
    chosen = [one.of(config.objectives) for one in OBJECTIVES.values()]
    values: dict[str, Any] = {"preset": config.preset}
    for name, part, _ in _PARTS:
        for one in chosen if part is tuple else [getattr(config, name)]:
            values |= vars(one)
    return values


def written(config: RunConfig) -> dict[str, Any]:
    """A run's settings as JSON and TOML hold them: all but those that go `unsaid` at their defaults."""
    known = all_settings()
    return {
        name: value
        for name, value in flat(config).items()
        if not (known[name].unsaid and value == known[name].default)
    }


def compose(values: Mapping[str, Any]) -> RunConfig:
    """The inverse of `flat` and of `written`; what is not there has its default. Values are not checked."""
    chosen = tuple(filled(one.settings, values) for one in OBJECTIVES.values())
    parts: dict[str, Any] = {name: filled(part, values) for name, part, _ in _PARTS if part is not tuple}
    return RunConfig(**vars(filled(Preset, values)), **parts, objectives=chosen)


def changed(config: RunConfig, **values: Any) -> RunConfig:
    """A run with some settings changed, by their flat names."""
    before = flat(config)
    assert values.keys() <= before.keys(), values.keys() - before.keys()
    return compose(before | values)


def defaults_of(model: str) -> dict[str, Any]:
    """What every setting is for a model when neither the user nor a preset says."""
    of_all = {name: known.default for name, known in all_settings().items()}
    return {**of_all, **find_model(model).defaults}


def usual_width(model: str, preset: str) -> int:
    """The channels of a model's first layer when the user does not say (raises KeyError: no such preset)."""
    own = find_model(model).usual_width
    return presets()[preset].convnet_width if own is None else own

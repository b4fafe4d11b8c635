"""The commands that are killed, raced and given damaged files, and what is in their folder before.

Arguments name the inputs of `material` as {inputs}; a run's folder is `run`, a data set's `data`.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One command, run in a folder of its own."""

    command: tuple[str, ...]
    before: str = ""
    """The scenario that ended in this folder before; empty for an empty folder."""
    material: tuple[tuple[str, str], ...] = ()
    """Inputs that are copied into this folder before: what, and what it is called there."""
    half: bool = False
    """Whether that one was killed on its way instead of coming to its end."""
    go_on: tuple[str, ...] = ()
    """What is added to the command to finish what it began."""
    streamed: bool = False
    """Images stay on disk and are read by processes of their own."""
    once: bool = False
    """Whether a second call of a finished command is refused."""
    keeps: str = ""
    """How the names end of what it keeps of an interrupted call, to go on from."""
    idle: str = ""
    """What a call prints that finds everything done."""
    made: str = ""
    """What must not depend on damage that was not noticed: a folder, `.` for all, or `STDOUT`; empty for
    nothing, where the damaged file is one that anybody may write."""
    judged: str = ""
    """How the names of the files end whose damage `made` must not depend on; empty for all."""
    weight: int = 0
    """How often it is killed."""
    races: int = 0
    """How often it is raced."""


def _train(
    *arguments: str, data: str = "{inputs}/crosses", model: str = "cnn", epochs: int = 3, threads: int = 1
) -> tuple[str, ...]:
    return (
        *("train", "--data", data, "--model", model, "--width", "2", "--lr", "1e-3"),
        *("--epochs", str(epochs), "--batch-size", "8", "--device", "cpu", "--threads", str(threads)),
        *("--out", "run", *arguments),
    )


STDOUT = "stdout"
"""Stands for what is printed where a folder is asked for."""
ALL = "."

RESUME = ("--resume",)
TRAINED = "was finished already"
SYNTHETIC = ("make-synthetic", "--n", "24", "--valid", "8", "--test", "8", "--out", "data")
FOLDER = (
    *("prepare-folder", "{at}pictures/images", "--masks", "{at}pictures/masks"),
    *("--labels", "{at}pictures/labels.csv", "--out", "data"),
)
MSD = ("--out", "data", "--size", "24")
XRAY = (
    *("prepare-xray", "--nih", "{at}xray/NIH", "--padchest", "{at}xray/PadChest"),
    *("--out", "data", "--size", "24"),
)


def _at(place: str, words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word.replace("{at}", place) for word in words)


def _training(*arguments: str, weight: int, model: str = "cnn", epochs: int = 3) -> Scenario:
    command = _train(*arguments, model=model, epochs=epochs)
    return Scenario(command=command, go_on=RESUME, idle=TRAINED, weight=weight, races=1)


_KILLED: dict[str, Scenario] = {
    "train plain": _training(weight=4),
    "train one epoch": _training(epochs=1, weight=4),
    "train actdiff": _training("--actdiff", "1", model="unet", weight=2),
    "train gradmask": _training("--gradmask", "1", model="resnet18", epochs=2, weight=2),
    "train adversarial": _training("--adversarial", "1", weight=4),
    "train select loss": _training("--select", "loss", "--eval-train", weight=2),
    "train two seeds": _training("--seeds", "0-1", weight=4),
    "train streamed": Scenario(
        command=_train("--actdiff", "1", epochs=2, threads=2),
        go_on=RESUME,
        idle=TRAINED,
        streamed=True,
        weight=3,
    ),
    "train longer": Scenario(
        command=_train(*RESUME, epochs=4), before="train plain", idle=TRAINED, made=ALL, weight=3, races=2
    ),
    "train over another": Scenario(
        command=_train("--actdiff", "1", "--overwrite", model="ae", epochs=2),
        before="train plain",
        weight=3,
        races=2,
    ),
    "sweep": Scenario(
        command=("sweep", "{inputs}/grid.toml", "--out", "run", "--max-parallel", "2"), weight=1, races=1
    ),
    "make-synthetic": Scenario(command=SYNTHETIC, once=True, weight=2, races=2),
    "make-synthetic over another": Scenario(
        command=(*SYNTHETIC, "--seed", "1", "--overwrite"), before="make-synthetic", weight=2, races=2
    ),
    "prepare-folder": Scenario(command=_at("{inputs}/", FOLDER), once=True, weight=2, races=2),
    "prepare-msd": Scenario(
        command=("prepare-msd", "{inputs}/Task03_Liver", *MSD, "--workers", "2"), once=True, weight=2
    ),
    "prepare-msd tar": Scenario(
        command=("prepare-msd", "{inputs}/Task03_Liver.tar", *MSD, "--workers", "2"), once=True, weight=2
    ),
    "prepare-msd tar, alone": Scenario(
        command=("prepare-msd", "{inputs}/Task03_Liver.tar", *MSD), once=True, weight=2, races=2
    ),
    "prepare-xray": Scenario(
        command=(*_at("{inputs}/", XRAY), "--workers", "2"), once=True, keeps=".cache", weight=2, races=1
    ),
    "report": Scenario(
        command=("report", "run", "--device", "cpu", "--out", "report"),
        before="train two seeds",
        weight=1,
        races=1,
    ),
}

_READ: dict[str, Scenario] = {
    "resume": Scenario(
        command=_train(*RESUME), before="train plain", half=True, idle=TRAINED, made=ALL, races=4
    ),
    "resume adversarial": Scenario(
        command=_train("--adversarial", "1", *RESUME), before="train adversarial", half=True, made=ALL
    ),
    "resume two seeds": Scenario(
        command=_train("--seeds", "0-1", *RESUME), before="train two seeds", half=True, made=ALL
    ),
    "train on data": Scenario(command=_train(data="data"), material=(("crosses", "data"),)),
    "resume on data": Scenario(
        command=_train(*RESUME, data="data"), before="train on data", half=True, made="run"
    ),
    "train again": Scenario(command=_train(), before="train plain"),
    "evaluate": Scenario(
        command=("evaluate", "run", "--json", "--device", "cpu"),
        before="train plain",
        made=STDOUT,
        judged=".safetensors",
    ),
    "evaluate on data": Scenario(
        command=("evaluate", "run", "--data", "data", "--json", "--device", "cpu"),
        before="train plain",
        material=(("crosses", "data"),),
    ),
    "table": Scenario(command=("table", "run"), before="train two seeds"),
    "saliency": Scenario(
        command=("saliency", "run/seed-0/best.safetensors", "raw", "--out", "maps", "--device", "cpu"),
        before="train plain",
        material=(("raw", "raw"),),
        made="maps",
        judged=".safetensors",
    ),
    "report on one": Scenario(command=("report", "run", "--device", "cpu"), before="train plain"),
    "prepare pictures": Scenario(command=_at("", FOLDER), material=(("pictures", "pictures"),)),
    "prepare volumes": Scenario(
        command=("prepare-msd", "Task03_Liver", *MSD), material=(("Task03_Liver", "Task03_Liver"),)
    ),
    "prepare archive": Scenario(
        command=("prepare-msd", "Task03_Liver.tar", *MSD),
        material=(("Task03_Liver.tar", "Task03_Liver.tar"),),
    ),
    "prepare X-rays": Scenario(command=_at("", XRAY), keeps=".cache", material=(("xray", "xray"),)),
    "TOML": Scenario(
        command=("train", "--config", "run.toml", "--dry-run"), material=(("run.toml", "run.toml"),)
    ),
    "grid": Scenario(command=("sweep", "grid.toml", "--dry-run"), material=(("grid.toml", "grid.toml"),)),
}

SCENARIOS = _KILLED | _READ
"""By name."""

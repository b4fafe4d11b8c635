"""Where trainings run that one command starts: processes of this machine, or a Ray cluster."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from activmask.ground.limits import PROCESSES

from .ranges import number

if TYPE_CHECKING:
    from activmask.experiments.jobs import Engine
    from activmask.runs.description import RunConfig

EngineName = Literal["local", "ray"]
_MACHINE = "Machine"

EngineOption = Annotated[
    EngineName,
    typer.Option(help="Processes of this machine, or a Ray cluster.", rich_help_panel=_MACHINE),
]
AddressOption = Annotated[
    str | None,
    typer.Option(help="Of the Ray cluster.", rich_help_panel=_MACHINE, show_default="one is started here"),
]


def at_once(what: str) -> Any:
    """The flag for how many trainings run at once; `what` is the command's word for them."""
    return number(
        PROCESSES,
        help=f"{what} at once.",
        rich_help_panel=_MACHINE,
        show_default="one per GPU, else one per core",
    )


def slots(most: int | None, config: "RunConfig", jobs: int) -> int:
    """How many of some jobs run at once here.

    Args:
        most: as the user said; None is one per GPU, else one per core.
        config: of one of the jobs, for its device.
        jobs: how many there are.
    """
    from activmask.machine.device import cores

    return min(most or len(_gpus(config)) or cores(), jobs)


def _gpus(config: "RunConfig") -> tuple[str, ...]:
    from activmask.machine.device import visible_gpus

    return visible_gpus(config.machine.device)


def chosen_engine(
    name: EngineName, address: str | None, most: int | None, config: "RunConfig", jobs: int
) -> "Engine":
    """The engine that the user chose (raises UsageError or DataError); see `slots`."""
    from activmask.ground.errors import UsageError

    if name == "ray":
        from activmask.experiments.ray_engine import RayEngine

        return RayEngine(address, most, device=config.machine.device)
    if address is not None:
        raise UsageError("--address is of a Ray cluster; give --engine ray too")
    from activmask.experiments.local_engine import LocalEngine

    return LocalEngine(slots(most, config, jobs), gpus=_gpus(config))

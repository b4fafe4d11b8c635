"""The fewest settings that make a run's description again, for a command that trains it anew."""

from typing import Any

from activmask.ground.errors import UsageError
from activmask.runs.description import RunConfig, flat
from activmask.runs.making import make_config


def fewest_settings(config: RunConfig) -> dict[str, Any]:
    """Settings of which `make_config` makes the same description; all of them where fewer do not.

    Preset, data and model are always among them.
    """
    every = flat(config)
    always = {name: every[name] for name in ("preset", "data", "model")}
    try:
        usual = flat(make_config(**always))
        fewest = always | {name: value for name, value in every.items() if value != usual[name]}
        return fewest if make_config(**fewest) == config else every
    except UsageError:
        # An earlier version let pass what is refused now.
        return every

"""Every number that a user can give has a least and a most, which flags, files, calls and help agree on."""

import inspect
import math
import re
from collections.abc import Callable, Iterator
from contextlib import chdir
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin

import pytest
from activmask_cli.app import app
from in_process import told
from typer.testing import CliRunner

from activmask.ground.errors import UsageError
from activmask.ground.settings import Setting
from activmask.models.build import check_memory
from activmask.models.settings import Network
from activmask.runs.description import all_settings
from activmask.runs.making import make_config
from activmask.runs.toml_file import count_or_seeds, parse_seeds, parse_settings

FAR = {int: str(10**400), float: "1e300"}
"""A number that no option takes, by its kind."""
REQUIRED = {
    "evaluate": ["nowhere"],
    "saliency": ["nowhere", "nowhere.png"],
    "score": ["nowhere", "--data", "nowhere"],
    "prepare-folder": ["nowhere", "--labels", "nowhere.csv"],
    "prepare-msd": ["nowhere"],
    "prepare-xray": ["--nih", "nowhere", "--dry-run"],
    "sweep": ["nowhere.toml"],
    "train": ["--dry-run"],
    "make-synthetic": ["--n", "2", "--valid", "2", "--test", "2", "--out", __file__],
    "demo": ["--out", __file__],
    "plant": ["nowhere", "--shortcut", "tag", "--class", "1", "--share", "0.5"],
}
"""What else a command needs; nothing comes of it, as what it names is not there, or is a file."""
WITH = {"--track-images": ["--track", "tensorboard"]}
"""What an option needs beside it."""
HOSTILE = ["-1", "1e20", "-1e300", "inf", "nan", str(2**63), "9" * 5000]
WRITTEN_OTHERWISE = ["١٢", " 1 ", "1_000", "", "1,5", "²"]


@dataclass(frozen=True)
class Option:
    """An option that takes a number."""

    command: str
    flag: str
    kind: type
    help: str


def numeric() -> list[Any]:
    """Every one of every command."""
    found = [
        Option(command=name, flag=flag(parameter, option), kind=kind, help=option.help or "")
        for name, function in commands()
        for parameter in inspect.signature(function).parameters.values()
        if get_origin(parameter.annotation) is Annotated
        for written, option in [get_args(parameter.annotation)]
        for kind in FAR
        if kind in {written, *get_args(written)}
    ]
    return [pytest.param(one, id=f"{one.command} {one.flag}") for one in found]


def commands() -> Iterator[tuple[str, Callable[..., None]]]:
    for one in app.registered_commands:
        assert one.callback is not None
        yield one.name or one.callback.__name__.replace("_", "-"), one.callback


def flag(parameter: inspect.Parameter, option: Any) -> str:
    # In an annotation, typer's first argument is where a default stood before there were annotations.
    written = [name for name in (option.default, *(option.param_decls or ())) if isinstance(name, str)]
    return [*written, f"--{parameter.name.replace('_', '-')}"][0]


def numbers() -> list[Setting]:
    return [one for one in all_settings().values() if one.kind in {int, float}]


def words(text: str) -> str:
    return " ".join(re.sub(r"[│╭╮╰╯─]", " ", text).split())


def test_the_walk_finds_the_options():
    found = {one.id for one in numeric()}
    assert {"train --batch-size", "demo --seed", "sweep --max-parallel", "saliency --top"} <= found
    assert len(found) > 40


@pytest.mark.parametrize("option", numeric())
def test_every_option_that_takes_a_number_names_its_range(option, tmp_path):
    given = *REQUIRED.get(option.command, []), *WITH.get(option.flag, []), f"{option.flag}={FAR[option.kind]}"
    shown = told(option.command, *given, cwd=tmp_path, code=2)
    ends = re.search(r"it must be (from -?[0-9][0-9.,e+]* to [0-9][0-9.,e+]*)[;.]", words(shown.stderr))
    assert ends, shown.stderr
    assert ends[1].capitalize() in option.help
    assert list(tmp_path.iterdir()) == []


@pytest.mark.process
@pytest.mark.parametrize("option", numeric())
def test_no_number_ends_in_a_traceback(option, tmp_path):
    for text in (*HOSTILE, *WRITTEN_OTHERWISE):
        given = *REQUIRED.get(option.command, []), *WITH.get(option.flag, []), f"{option.flag}={text}"
        with chdir(tmp_path):
            ended = CliRunner().invoke(app, [option.command, *given])
        assert isinstance(ended.exception, SystemExit | None), text
        assert ended.exit_code in {0, 2, 3}, text


@pytest.mark.parametrize("setting", numbers(), ids=lambda one: one.name)
def test_files_and_calls_take_what_flags_take(setting, tmp_path):
    assert setting.least is not None
    assert setting.most is not None
    beyond = [setting.least - 1, setting.most * 2 + 1, 10**400, -(10**400)]
    beyond += [1e300, math.inf, -math.inf, math.nan] if setting.kind is float else []
    for value in beyond:
        with pytest.raises(UsageError, match=rf"{setting.name} must be (from .* to |finite)"):
            make_config(**{setting.name: value})
        with pytest.raises(UsageError, match=rf"{setting.name} must be (from .* to |finite)"):
            parse_settings([f"{setting.name}={value}"])
        file = tmp_path / "run.toml"
        file.write_text(f"{setting.name} = {value}\n", encoding="utf-8")
        shown = told("train", "--config", file, "--dry-run", cwd=tmp_path, code=3)
        assert re.search(r"must be (from .* to |finite)|cannot be read as TOML", words(shown.stderr))


@pytest.mark.parametrize("text", [*HOSTILE, *WRITTEN_OTHERWISE, "0-9999999999", "1-" + "9" * 500, "3,,4"])
def test_seeds_are_read_or_refused(text):
    for read in (parse_seeds, count_or_seeds):
        try:
            found = read(text)
        except UsageError:
            continue
        assert 1 <= len(found) <= 10_000
        assert all(0 <= seed < 2**32 for seed in found)


@pytest.mark.parametrize("value", ["9" * 5000, "[" * 100_000, "nan", "inf"])
def test_a_setting_of_a_sweep_is_read_or_refused(value):
    with pytest.raises(UsageError):
        parse_settings([f"width={value}"])


@pytest.mark.parametrize("model", ["cnn", "unet", "resnet18"])
def test_a_network_wider_than_memory_is_refused_before_it_is_built(model):
    with pytest.raises(UsageError, match=rf"{model} of width 65,536 takes [0-9,]+ GB of memory to train"):
        check_memory(Network(model=model, width=2**16), channels=1, classes=2, image_size=28)
    check_memory(Network(model=model, width=65), channels=1, classes=2, image_size=28)

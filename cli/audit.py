"""`activmask audit`: what any classifier's score is made of."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from activmask.ground.errors import UsageError
from activmask.ground.limits import RUN_SEEDS
from activmask.ground.settings import Range
from activmask.runs.description import Device
from activmask.saliency.methods import USUAL_METHOD

from .audit_export import DRAWS
from .code_option import Code
from .console import err, failures_as_sentences, others_talk_aside, write
from .next_steps import say_next
from .progress import waiting
from .ranges import number, numbers
from .shell import command_line
from .table_file import check_table_place, write_table

if TYPE_CHECKING:
    from activmask.auditing.asked import Part
    from activmask.auditing.audited import Audited
    from activmask.predictors.preprocessing import Preprocessing

_PROBABILITIES = Range(least=0.0, most=1.0)
_CHANNELS = Range(least=1, most=1000)
_SIDES = Range(least=1, most=100_000)
_COMMAND_LINE = "COMMANDLINE"
_PAGE = Path("page")
"""The folder of the page that is proposed, as in the documentation."""


def audit(
    ctx: typer.Context,
    *,
    data: Annotated[
        str | None,
        typer.Option(
            help="The data set's folder; left out, the data that a checkpoint of activmask was trained on.",
            rich_help_panel="Data",
            show_default=False,
        ),
    ] = None,
    split: Annotated[
        Literal["train", "valid", "test", "all"] | None,
        typer.Option(
            help="Whose images are judged; left out, test, or all where the data name no splits.",
            rich_help_panel="Data",
            show_default=False,
        ),
    ] = None,
    accept_recipe: Annotated[
        bool,
        typer.Option(
            "--accept-recipe",
            help="Judge a checkpoint of activmask on images that were prepared otherwise than its own.",
            rich_help_panel="Data",
        ),
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(
            help="A checkpoint of activmask or a folder with one, file.py:function or "
            "package.module:function that returns a network of torch (its code runs), torchvision:NAME, "
            "timm:NAME, or an .onnx file.",
            rich_help_panel="Model",
            show_default=False,
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            help="Safetensors file of weights, or imagenet, for a network that is named.",
            rich_help_panel="Model",
            show_default=False,
        ),
    ] = None,
    outputs: Annotated[
        Literal["logits", "probabilities", "scores"] | None,
        typer.Option(
            help="What the outputs are; left out, it is seen from them where that is sure.",
            rich_help_panel="Model",
            show_default=False,
        ),
    ] = None,
    class_outputs: Annotated[
        str | None,
        typer.Option(
            help="Which outputs stand for the classes 0, 1, ..., as 3,7; left out, there is one for each.",
            rich_help_panel="Model",
            show_default=False,
        ),
    ] = None,
    channels: Annotated[
        int | None,
        number(
            _CHANNELS,
            help="Channels that the network takes: grey is repeated, colours become grey.",
            rich_help_panel="Preprocessing",
            show_default=False,
        ),
    ] = None,
    size: Annotated[
        int | None,
        number(_SIDES, help="Side in px to resize to.", rich_help_panel="Preprocessing", show_default=False),
    ] = None,
    scale: Annotated[
        float | None,
        typer.Option(
            help="What images in [0, 1] are multiplied by, such as 255.",
            rich_help_panel="Preprocessing",
            show_default=False,
        ),
    ] = None,
    mean: Annotated[
        str | None,
        typer.Option(
            help="What is subtracted then, one number or one a channel: 0.485,0.456,0.406.",
            rich_help_panel="Preprocessing",
            show_default=False,
        ),
    ] = None,
    std: Annotated[
        str | None,
        typer.Option(
            help="What is divided by then, likewise.", rich_help_panel="Preprocessing", show_default=False
        ),
    ] = None,
    preprocess: Annotated[
        str | None,
        typer.Option(
            help="In place of these, file.py:function from images (B, C, H, W) in [0, 1] to what the network "
            "takes (its code runs).",
            rich_help_panel="Preprocessing",
            show_default=False,
        ),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(
            help="A part to leave out: conditions, leaks, clinic or looks; may be repeated.",
            rich_help_panel="Parts",
            show_default=False,
        ),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            help="Method of attribution, as activmask saliency has them; may be repeated. Left out, "
            f"{USUAL_METHOD}, or occlusion where there are no gradients.",
            rich_help_panel="Parts",
            show_default=False,
        ),
    ] = None,
    sign: Annotated[
        Literal["positive", "absolute"],
        typer.Option(help="Which values of signed maps count.", rich_help_panel="Parts"),
    ] = "absolute",
    draws: Annotated[int, number(DRAWS, help="Of each shuffled condition.", rich_help_panel="Parts")] = 3,
    threshold: Annotated[
        float | None,
        typer.Option(
            help="Probability (or score) from which on an image is positive; left out, it is chosen on the "
            "valid split by Youden's index, or is 0.5 without one.",
            rich_help_panel="Parts",
            show_default=False,
        ),
    ] = None,
    sensitivity: Annotated[
        float | None,
        number(
            _PROBABILITIES,
            help="Choose the threshold on the valid split so that it has this sensitivity.",
            rich_help_panel="Parts",
            show_default=False,
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            help="Folder of a page to write; an audit that lies there is replaced.",
            rich_help_panel="Output",
            show_default=False,
        ),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            help="CSV file to write: what the model said of each image under each condition.",
            rich_help_panel="Output",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON instead of tables.", rich_help_panel="Output")
    ] = False,
    device: Annotated[Device, typer.Option(help="Where to compute.", rich_help_panel="Machine")] = "auto",
    seed: Annotated[
        int, number(RUN_SEEDS, help="Of everything that is drawn.", rich_help_panel="Machine")
    ] = 0,
    code: Code = None,
) -> None:
    """Ask of any trained classifier what its score is made of, by images and masks.

    Example: activmask audit --data own/data --model net.py:make --weights net.safetensors --report page
    """
    if ctx.invoked_subcommand is not None:
        _refuse_options(ctx)
        return
    with failures_as_sentences(out="another --report", data="the data set's folder as --data"):
        if model is None:
            raise UsageError("--model says what is to be audited", advice="see activmask audit --help")
        from activmask.auditing.audit import audit as library_audit
        from activmask.auditing.page.write import check_place
        from activmask.auditing.predictions import predictions_sheet

        if report is not None:
            check_place(report)
        if predictions is not None:
            check_table_place(predictions, "--predictions", None if data is None else Path(data))
        with waiting("reading images") as told, others_talk_aside():
            audited = library_audit(
                model,
                data,
                split=split,
                accept_recipe=accept_recipe,
                weights=weights,
                outputs=outputs,
                class_outputs=numbers("--class-outputs", class_outputs, int),
                preprocess=_preprocessing(channels, size, scale, mean, std, preprocess),
                without=cast("list[Part]", without or []),
                draws=draws,
                methods=method or (),
                sign=sign,
                threshold=threshold,
                sensitivity=sensitivity,
                device=device,
                seed=seed,
                code=code or (),
                told=told,
            )
        left = _left_while_printing(audited, as_json=as_json)
        _note_order(audited, model, class_outputs)
        if predictions is not None:
            write_table(predictions, predictions_sheet(audited), "table of predictions")
            err.print(f"wrote {predictions}")
        if report is not None:
            _write(audited, report)
        if left is not None:
            raise left
        if report is None and not as_json and not _PAGE.exists():
            say_next(command_line("activmask", *sys.argv[1:], "--report", _PAGE))


def _refuse_options(ctx: typer.Context) -> None:
    """Refuse options of the audit itself before another command, which would not see them."""
    with failures_as_sentences():
        for name in ctx.params:
            source: Any = ctx.get_parameter_source(name)
            if source is not None and source.name == _COMMAND_LINE:
                raise UsageError(
                    f"--{name.replace('_', '-')} stands before the command {ctx.invoked_subcommand}, which "
                    "does not see it",
                    advice="put it behind",
                )


def _left_while_printing(audited: "Audited", *, as_json: bool) -> SystemExit | None:
    """Print an audit; gives the end of a program whose reader left, as head does, for after its files."""
    try:
        _print(audited, as_json=as_json)
    except SystemExit as end:
        return end
    return None


def _print(audited: "Audited", *, as_json: bool) -> None:
    for note in audited.notes:
        err.print(f"note: {note}")
    if as_json:
        from activmask.ground.shown import json_text

        write(f"{json_text(audited.to_json())}\n")
        return
    from .audit_tables import print_audit

    print_audit(audited)


def _note_order(audited: "Audited", model: str, class_outputs: str | None) -> None:
    """Say how to name the other order of classes, where the AUC of two lies surely below chance."""
    from activmask.auditing.audit import own_checkpoint

    auc = audited.below_chance
    if auc is None or class_outputs is not None or own_checkpoint(model) is not None:
        return
    interval = "" if auc.low is None else f" (95 % {auc.low:.2f} to {auc.high:.2f})"
    err.print(
        f"note: the AUC of {auc.auc:.2f}{interval} lies below chance: where "
        "the model numbers the two classes the other way round, --class-outputs 1,0 says so"
    )


def _write(audited: "Audited", folder: Path) -> None:

    from activmask.auditing.page.write import write_audit

    with waiting("drawing"):
        page = write_audit(audited, folder, command=command_line("activmask", *sys.argv[1:]))
    err.print(f"wrote {page}")


def _preprocessing(
    channels: int | None,
    size: int | None,
    scale: float | None,
    mean: str | None,
    std: str | None,
    preprocess: str | None,
) -> "Preprocessing":
    from activmask.models.user_code import user_function
    from activmask.predictors.preprocessing import Preprocessing

    function = None
    if preprocess is not None:
        where, colon, name = preprocess.rpartition(":")
        if not colon:
            raise UsageError("--preprocess names a function as file.py:function", found=f"'{preprocess}'")
        function = user_function(where, name)
    return Preprocessing(
        channels=channels,
        size=size,
        scale=scale,
        mean=numbers("--mean", mean) or (),
        std=numbers("--std", std) or (),
        function=function,
    )

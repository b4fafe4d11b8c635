"""`activmask demo`: the point of the whole paper in one table and one picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from activmask.ground.limits import COUNTS, RUN_SEEDS

from .console import err, failures_as_sentences, out
from .one_object import AsJson, talk_aside, write_object
from .ranges import number
from .shell import command_line
from .tables import ResultTable, print_table, result_table

SETTINGS = ("--model", "resnet18", "--width", "16", "--lr", "1e-3", "--batch-size", "32", "--threads", "1")
"""One thread takes longer than two on idle cores, but two take much longer than one on busy ones."""
NETWORKS = ("baseline", "actdiff")
SHOWN = {0: 2, 1: 1}
"""Images of each class in the picture."""


def demo(
    context: typer.Context,
    folder: Annotated[
        Path, typer.Option("--out", help="Folder for everything the demo makes.", rich_help_panel="Output")
    ] = Path("demo"),
    epochs: Annotated[
        int,
        number(COUNTS, help="Epochs of both networks.", rich_help_panel="Training"),
    ] = 12,
    seed: Annotated[
        int,
        number(
            RUN_SEEDS,
            help="Of data and networks.",
            rich_help_panel="Training",
        ),
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Show in a few minutes what attribution control does: one shortcut taken, one resisted.

    Makes the synthetic benchmark, trains a plain ResNet and one with the actdiff penalty, and
    compares what they score and where they look. Every command it runs is printed.

    Example: activmask demo --out /tmp/demo
    """
    with failures_as_sentences():
        from activmask.ground.claims import claimed, lock_beside
        from activmask.runs.folder import BEST_FILE, seed_folder

        data, runs = folder / "data", folder / "runs"
        for name in NETWORKS:
            _check_own(runs / name, data)
    common = ("--data", data, *SETTINGS, "--epochs", epochs, "--seeds", seed, "--overwrite")
    network = seed_folder(runs / "actdiff", seed) / BEST_FILE
    image, mask = (data / kind / "Valid-000000.png" for kind in ("images", "masks"))
    # Inside, because the folder above may be nobody's to write to.
    with (
        failures_as_sentences(),
        claimed(folder, "demo", lock=lock_beside(folder / "demo")),
        talk_aside(as_json),
    ):
        for words in (
            ("make-synthetic", "--n", 500, "--seed", seed, "--out", data, "--overwrite"),
            ("train", *common, "--out", runs / "baseline"),
            ("train", *common, "--actdiff", 10, "--out", runs / "actdiff"),
            ("evaluate", runs / "baseline", runs / "actdiff"),
            ("saliency", network, image, "--mask", mask, "--out", folder / "saliency.png"),
        ):
            _run(context, [str(word) for word in words])
        found = _conclude(folder, seed)
    if as_json:
        write_object(found)


def _check_own(run: Path, data: Path) -> None:
    """Refuse to train anew over a run that no demo trained here, which is somebody's work.

    Raises:
        UsageError: there is one.
        CheckpointError: there is a run that cannot be read.
    """
    from activmask.ground.errors import PATH, UsageError
    from activmask.ground.places import real
    from activmask.runs.folder import read_written

    for seed in run.glob("seed-*"):
        written = read_written(seed)
        if written and {str(data), str(real(data))}.isdisjoint(
            {written.config.source.data, written.data_path}
        ):
            raise UsageError(
                f"{PATH} is a run that no demo trained here, or has been moved, and would be lost",
                path=run,
                advice="give another --out",
            )


def _run(context: typer.Context, words: list[str]) -> None:
    err.print()
    err.print(f"$ {command_line('activmask', *words)}", style="bold", soft_wrap=True)
    status = context.find_root().command.main(words, "activmask", standalone_mode=False)
    if status:
        raise typer.Exit(status)


def networks_table(networks: Sequence[Mapping[str, Any]]) -> ResultTable:
    """What each network scores, and where it looks."""
    columns = ("network", "valid AUC, last epoch", "valid AUC, best epoch", "attribution on the crosses")
    table = result_table("Does it look where the expert points?", *columns)
    for one in networks:
        scores = (one["valid_auc_last_epoch"], one["valid_auc_best_epoch"])
        where = f"{one['attribution']:.0%} (chance {one['chance']:.0%})"
        table.add_row(one["network"], *(f"{score:.3f}" for score in scores), where)
    return table


def _conclude(folder: Path, seed: int) -> dict[str, Any]:
    """Print the table, draw the picture, and give both as a plain dictionary."""
    from io import BytesIO

    from activmask.evaluation.evaluate import evaluate
    from activmask.ground.files import write_whole
    from activmask.report.charts.side_by_side import side_by_side
    from activmask.runs.checkpoint import load_checkpoint
    from activmask.runs.folder import BEST_FILE, read_history, seed_folder
    from activmask.training.feed.trained_data import of_checkpoint, own_split_as_seen

    runs = [seed_folder(folder / "runs" / name, seed) for name in NETWORKS]
    checkpoints = [load_checkpoint(run / BEST_FILE) for run in runs]
    valid, _ = own_split_as_seen(of_checkpoint(checkpoints[0]), "valid")
    networks = []
    for name, run, checkpoint in zip(NETWORKS, runs, checkpoints, strict=True):
        result = evaluate(checkpoint, valid, seed=seed)
        mass = result.localisation.rows[0]
        last = read_history(run)[-1]["valid_auc"]
        networks.append(
            {
                "network": name,
                "folder": str(run),
                "valid_auc_last_epoch": last,
                "valid_auc_best_epoch": result.scores.auc,
                "attribution": mass.mean,
                "chance": mass.chance,
            }
        )
    picture = folder / "demo.png"
    shown = valid.subset(
        [i for label, count in SHOWN.items() for i in (valid.labels == label).nonzero()[:count, 0].tolist()]
    )
    content = BytesIO()
    side_by_side(checkpoints, NETWORKS, shown).savefig(content, format="png", dpi=120)
    write_whole(picture, content.getvalue())
    out.print()
    print_table(networks_table(networks))
    out.print(
        "In training the box agrees with the class, in validation it is reversed: a network that reads the "
        "box falls to an AUC of 0, one that counts the crosses rises to 1."
    )
    out.print(f"where each looks: {picture}")
    return {"folder": str(folder), "seed": seed, "networks": networks, "picture": str(picture)}

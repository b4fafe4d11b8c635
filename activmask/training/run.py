"""Train one experiment for one or several seeds, and leave folders that explain themselves."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from activmask.data.arrays import HeldImages, held_images
from activmask.data.settings import ARRAYS, IN_MEMORY, Source
from activmask.data.sources.presets import presets
from activmask.ground.errors import PATH, CheckpointError, DataError, UsageError
from activmask.ground.refusals import refusals_under
from activmask.machine.device import choose_device, set_up_arithmetic
from activmask.machine.world import World, check_all_agree, joined, read_world
from activmask.models.build import check_model
from activmask.runs.claimed import claimed_seeds
from activmask.runs.description import RunConfig
from activmask.runs.folder import (
    METRICS_FILE,
    STATE_FILE,
    Written,
    check_whole,
    read_metrics,
    read_written,
    read_written_config,
    seed_folder,
)
from activmask.runs.identity import built_from, changed_but_places, changed_files, changes_in_words
from activmask.runs.manifest import read_entries
from activmask.runs.searched import Searched
from activmask.runs.sittings import Caller
from activmask.runs.usual_folder import usual_folder
from activmask.training.feed.origin import absolute, origin_of_arrays
from activmask.training.feed.reading import Reading
from activmask.training.feed.sources import held_splits
from activmask.training.feed.trained_data import of_seed, own_table
from activmask.training.replicas.drawn_ahead import drawn_ahead
from activmask.training.replicas.replica import Replica, new_replica
from activmask.training.replicas.state import restore_state
from activmask.training.replicas.watcher import Everyone, Watcher, failures_of_watchers, watchers_of
from activmask.training.retrain import retrain_heads
from activmask.training.seed_files import finish, notes_on_masks, open_folder
from activmask.training.together import train_together


@dataclass(frozen=True, kw_only=True)
class SeedResult:
    """What one seed's training came to."""

    seed: int
    folder: Path
    metrics: dict[str, Any]
    """`best_epoch`; AUC, accuracy and loss of `train`, `valid` and `test` at that epoch; and under `last`
    those of the last. Runs of older versions lack `last` and the losses. With two validation splits,
    under `other`, the best epoch and the scores by the split that did not choose."""
    trained: bool
    """False where a finished run was found and nothing was done."""


@torch.inference_mode(mode=False)
def train(
    config: RunConfig,
    seeds: Sequence[int] = (0,),
    out: str | Path | None = None,
    *,
    data: Sequence[Any] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    in_sweep: bool = False,
    first_run: Path | None = None,
    caller: Caller | None = None,
    searched: Searched | None = None,
    progress: Watcher | Sequence[Watcher] | None = None,
    reading: Reading | None = None,
) -> list[SeedResult]:
    """Train a replica for every seed and write one folder each under `out`.

    Under torchrun all its processes train each seed together, on the same global batches; the first
    of them evaluates and writes. A seed whose folder is finished is left as it is. The best epoch is
    the first that is best on the validation split by what the run selects by; every split is scored by its
    weights, and by those of the last epoch.

    Args:
        config: what to train.
        seeds: one replica each; a replica's result does not depend on the others.
        out: the run's folder; `runs/<readable name>` by default.
        data: arrays in place of a data set's folder: images, masks, labels, subjects and, if they are told,
            splits, see `held_images`. Without splits they are drawn by subject where the description does
            not say otherwise.
        resume: continue unfinished seeds from their last saved epoch.
        overwrite: start anew where there already is a run.
        in_sweep: the sweep that holds the folder above `out` asks for it; nobody else may train there.
        first_run: where the run lies that this one begins with, if not where its settings say, as on a node
            of a cluster.
        caller: by whose command, for `run.json`; None leaves out when and where, too.
        searched: the search that chose the settings, for `run.json`.
        progress: who is told of every step and epoch, one or several, each a `Callback` or whatever else
            has those three methods. What one raises ends training and is raised here; what was saved resumes.
        reading: what runs before in this process have read, and is as it was, see `Reading.still_true`.

    Raises:
        InUse: another process trains one of the seeds, or a sweep holds `out`.
        DataError, UsageError, CheckpointError: before anything is trained.
        DataError: later too, where the file system refuses; the last good state is kept.
        TrainingDiverged: a loss is NaN or infinite; the last good state is kept.
        PeerLost: another of torchrun's processes ended; likewise.

    Returns:
        One result per seed; none in a process that does not write.
    """
    held = None if data is None else held_images(data)
    if held is not None:
        config = _of_arrays(config, held)
    out = Path(out) if out else usual_folder(config)
    world = read_world()
    claims = claimed_seeds(out, seeds, in_sweep=in_sweep) if world.writes else nullcontext()
    told = Everyone(watchers_of(progress))
    with refusals_under(out), claims, failures_of_watchers():
        return _train(
            config, seeds, out, world, resume, overwrite, caller, searched, told, held, first_run, reading
        )


def _of_arrays(config: RunConfig, held: HeldImages) -> RunConfig:
    """The description of a run on images that the caller holds.

    Raises:
        UsageError: it names other data.
    """
    source = config.source
    usual = presets()[config.preset].settings.get("data", Source().data)
    if source.data not in {usual, ARRAYS}:
        raise UsageError(f"data are given as arrays, and the description names {source.data}; leave one out")
    if source.split_policy == "given" and held.splits is None:
        source = replace(source, split_policy="subject")
    return replace(config, source=replace(source, data=ARRAYS))


def _train(
    config: RunConfig,
    seeds: Sequence[int],
    out: Path,
    world: World,
    resume: bool,
    overwrite: bool,
    caller: Caller | None,
    searched: Searched | None,
    told: Everyone,
    held: HeldImages | None,
    first_run: Path | None,
    reading: Reading | None,
) -> list[SeedResult]:
    if config.training.sync_batchnorm and world.size == 1:
        raise UsageError("sync_batchnorm has no effect in a single process; leave it off, or use torchrun")
    if config.robustness.retrain_head and world.size > 1:
        raise UsageError("retrain_head fits the last layer in a single process; start it without torchrun")
    check_model(config.network)
    device = choose_device(config.machine.device)
    set_up_arithmetic(device, precision=config.training.precision, threads=config.machine.threads)
    finished = (
        {}
        if overwrite
        else finished_seeds(config, seeds, out, mend=resume, held=held, first_run=first_run, reading=reading)
    )
    waiting = [seed for seed in seeds if seed not in finished]
    if not overwrite:
        _refuse_unfinished(waiting, out, resume=resume)
    with joined(world, device):
        check_all_agree(len(finished), device, world)
        replicas = _open_replicas(config, waiting, out, device, resume, world, told, held, first_run, reading)
        if world.writes:
            for replica in replicas:
                open_folder(replica, caller, searched)
            _tell(replicas, told)
            for replica in replicas:
                told.start(replica)
        if config.robustness.retrain_head:
            retrain_heads(replicas, told, first_run)
        else:
            train_together(replicas, config.training.epochs, told)
        if not world.writes:
            return []
        metrics = finish(replicas, told)
    results = finished | {
        replica.seed: SeedResult(
            seed=replica.seed, folder=replica.folder, metrics=metrics[replica.seed], trained=True
        )
        for replica in replicas
    }
    return [results[seed] for seed in seeds]


def _tell(replicas: Sequence[Replica], progress: Watcher) -> None:
    for note in dict.fromkeys(replica.note for replica in replicas if replica.note):
        progress.note(note)
    for replica in replicas:
        for sentence in notes_on_masks(replica):
            progress.note(f"seed {replica.seed}: {sentence}")


def finished_seeds(
    config: RunConfig,
    seeds: Sequence[int],
    out: Path,
    *,
    mend: bool = False,
    held: HeldImages | None = None,
    first_run: Path | None = None,
    reading: Reading | None = None,
) -> dict[int, SeedResult]:
    """What `train` would leave as it is: the seeds under `out` that have a result for as many epochs.

    Args:
        config: what is asked for.
        seeds: of the run.
        out: the run's folder.
        mend: take a seed whose files are damaged or missing for unfinished, where it has a state.
        held: the images, where the caller has them in memory.
        first_run: as of `train`.
        reading: likewise.

    Raises:
        UsageError: a seed finished under other settings, or on other data than lies there now.
        CheckpointError: a seed's files are damaged or missing.
    """
    found = {}
    check_data = _data_check(config, out, held, reading or Reading())
    for seed in seeds:
        folder = seed_folder(out, seed)
        try:
            metrics = _whole_metrics(folder)
            if metrics is None:
                continue
            written = read_written_config(folder)
            begun = read_written(folder)
            assert begun is not None
        except CheckpointError:
            if mend and (folder / STATE_FILE).exists():
                continue
            raise
        if other := changed_but_places(written, config):
            raise _other_settings(folder, written, config, other)
        now = built_from(config, seed, first_run)
        if files := changed_files(begun.built_from, now, config, seed):
            raise UsageError(
                f"{PATH} holds a finished run of another network ({files})",
                path=folder,
                advice="use another out folder or overwrite it",
                ways=("out", "overwrite"),
            )
        check_data(seed)
        if written.training.epochs >= config.training.epochs:
            found[seed] = SeedResult(seed=seed, folder=folder, metrics=metrics, trained=False)
    return found


def _whole_metrics(folder: Path) -> dict[str, Any] | None:
    """The scores of a seed that is finished; its state, where it is still there, could mend what it lacks."""
    metrics = read_metrics(folder)
    if metrics is not None and (folder / STATE_FILE).exists():
        check_whole(folder, metrics)
    return metrics


def _other_settings(folder: Path, before: RunConfig, after: RunConfig, changed: Sequence[str]) -> UsageError:
    return UsageError(
        f"{PATH} holds a finished run with other settings ({changes_in_words(before, after, changed)})",
        path=folder,
        advice="use another out folder or overwrite it",
        ways=("out", "overwrite"),
    )


def _data_check(
    config: RunConfig, out: Path, held: HeldImages | None, reading: Reading
) -> Callable[[int], None]:
    """A function that refuses finished seeds of other data; all of them share one reading."""
    place = Path(config.source.data)

    def check(seed: int) -> None:
        folder = seed_folder(out, seed)
        written = read_written(folder)
        if written is None or config.source.data == IN_MEMORY == written.config.source.data:
            return
        if held is not None and written.config.source.data == ARRAYS:
            splits = held_splits(held, config.source, config.view, config.objectives, seed)
            if origin_of_arrays(splits, held).digests != written.split_sha256:
                raise UsageError(
                    f"{PATH} holds a finished run on other arrays",
                    path=folder,
                    advice="use another out folder or overwrite it",
                    ways=("out", "overwrite"),
                )
            return
        if (
            not written.split_sha256
            or not place.is_dir()
            or IN_MEMORY in {config.source.data, written.config.source.data}
        ):
            if not _same_place(written, config.source.data):
                raise _other_settings(folder, written.config, config, ("data",))
            return
        try:
            own_table(of_seed(out, seed, config), reading.table(place), reading.known(place))
        except DataError as error:
            raise UsageError(
                f"{PATH} holds a finished run on other data ({error.told_from((out.parent,))})",
                path=folder,
                advice="use another out folder or overwrite it",
                ways=("out", "overwrite"),
            ) from error

    return check


def _same_place(written: Written, data: str) -> bool:
    """Whether some data are named as those of a run that was written down, or lie in the same folder."""
    if IN_MEMORY in {data, written.config.source.data} or not written.data_path:
        return written.config.source.data == data
    return written.data_path == absolute(Path(data))


def _refuse_unfinished(seeds: Sequence[int], out: Path, *, resume: bool) -> None:
    for seed in seeds:
        folder = seed_folder(out, seed)
        has_state = (folder / STATE_FILE).exists()
        if not has_state and (folder / METRICS_FILE).exists():
            raise UsageError(
                f"{PATH} holds a finished run of fewer epochs without its {STATE_FILE}, which more need",
                path=folder,
                advice="use another out folder or overwrite it",
                ways=("out", "overwrite"),
            )
        if has_state and not resume:
            raise UsageError(
                f"{PATH} holds a run that was not finished",
                path=folder,
                advice="resume it or overwrite it",
                ways=("resume", "overwrite"),
            )


def _open_replicas(
    config: RunConfig,
    seeds: Sequence[int],
    out: Path,
    device: torch.device,
    resume: bool,
    world: World,
    progress: Watcher,
    held: HeldImages | None,
    first_run: Path | None,
    reading: Reading | None,
) -> list[Replica]:
    """The replicas of seeds, for which a data set on disk is read once."""
    reading = reading or Reading(decoded={} if len(seeds) > 1 else None)
    reading.of_several = len(seeds) > 1
    replicas: list[Replica] = []
    with drawn_ahead(config, seeds) as networks:
        for seed in seeds:
            folder = seed_folder(out, seed)
            going_on = resume and (folder / STATE_FILE).exists()
            written = read_entries(folder) if going_on else ()
            replica = new_replica(
                config,
                seed,
                folder,
                device,
                world,
                written=written,
                held=held,
                networks=networks,
                first_run=first_run,
                reading=reading,
            )
            if going_on:
                for note in restore_state(replica, written):
                    progress.note(note)
            if replica.next_epoch > config.training.epochs:
                raise UsageError(
                    f"{PATH} has trained {replica.next_epoch} epochs already, more than the "
                    f"{config.training.epochs} asked for",
                    path=replica.folder,
                    advice="ask for at least as many, or use another out folder",
                )
            check_all_agree(replica.next_epoch, device, world)
            replicas.append(replica)
    reading.let_go()
    return replicas

"""How long a job will take, from a few of its own steps."""

from pathlib import Path
from statistics import median
from time import perf_counter

from activmask.experiments.jobs import Job, epochs_of, is_finished, progress_of, with_threads
from activmask.machine.device import choose_device, set_up_arithmetic
from activmask.models.build import check_model
from activmask.runs.description import RunConfig, changed
from activmask.runs.robustness import FIRST_RUNS, Robustness
from activmask.training.replicas.epoch import step_count, training_steps
from activmask.training.replicas.predictions import predict
from activmask.training.replicas.replica import Replica, new_replica

_STEPS = 3
"""Steps that are timed; their median stands for all. The first of an epoch, which is slower, is not."""


def epochs_left(job: Job) -> int:
    """Epochs that a job still has to train at most, of all its seeds together; patience may need fewer."""
    return 0 if is_finished(job) else len(job.seeds) * epochs_of(job.config) - progress_of(job).epochs


def seconds_per_epoch(job: Job, *, threads: int = 1) -> float:
    """Measure one seed's epoch: a few training steps, scaled up, and a pass over the validation images.

    A job that begins with a run which is not finished yet is measured as if it began with none; one that fits
    last layers anew takes no steps.

    Args:
        job: nothing of it is written.
        threads: of the CPU, where the job does not say.

    Raises:
        DataError, UsageError: the job could not be trained either.
    """
    config = _measurable(with_threads(job, threads))
    check_model(config.network)
    device = choose_device(config.machine.device)
    set_up_arithmetic(device, precision=config.training.precision, threads=config.machine.threads)
    replica = new_replica(config, job.seeds[0], Path(job.folder), device)
    steps = 0.0 if job.config.robustness.retrain_head else _step_seconds(replica) * step_count(replica)
    return steps + _valid_seconds(replica)


def _measurable(job: Job) -> RunConfig:
    """Its settings, without what it begins with where that is not there yet."""
    if job.first is None or is_finished(job.first):
        return job.config
    usual = Robustness()
    return changed(job.config, upweight=usual.upweight, **dict.fromkeys(FIRST_RUNS, ""))


def _step_seconds(replica: Replica) -> float:
    steps, durations = training_steps(replica), []
    for _ in range(min(_STEPS + 1, step_count(replica))):
        start = perf_counter()
        values, _ = next(steps)
        values.cpu()
        durations.append(perf_counter() - start)
    steps.close()
    return median(durations[1:] or durations)


def _valid_seconds(replica: Replica) -> float:
    start = perf_counter()
    predict(replica.model, replica.splits["valid"].images)
    return perf_counter() - start

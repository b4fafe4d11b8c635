"""The jobs of a sweep in this process, for tests that look at what a sweep leaves and not at its workers."""

from activmask.experiments.jobs import Ended, Job, run_job, with_threads


class InlineEngine:
    """Runs a job to its end as soon as it is started; takes what the local engine takes."""

    slots = 1

    def __init__(self, slots: int = 1, *, gpus: tuple[str, ...] = ()) -> None:
        self.over: list[Ended] = []

    def start(self, job: Job) -> None:
        self.over.append(Ended(name=job.name, error=run_job(with_threads(job, 1))))

    def ended(self, seconds: float) -> list[Ended]:
        over, self.over = self.over, []
        return over

    def close(self) -> None:
        """Nothing runs beside the caller."""

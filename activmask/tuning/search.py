"""Run a search: propose trials, train them, score them on validation images, give up hopeless ones.

All that is known of a search lies in its folder: the run folders of its trials, and a database that says
which were tried. Whatever is killed goes on from there.
"""

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from activmask.experiments.jobs import Engine, Job
from activmask.experiments.sweep import ATTEMPTS
from activmask.ground.errors import CheckpointError
from activmask.ground.refusals import make_folder
from activmask.runs.claimed import claimed_sweep
from activmask.runs.sittings import Caller
from activmask.tuning.plan import Plan, check_plan
from activmask.tuning.storage import distributions_of, import_optuna, opened_study, sampler_of
from activmask.tuning.trial import OVER, Trial, trial_name, validation_scores

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

Watch = Callable[[Sequence[Trial]], None]

HOPELESS = 3
"""Trials that may fail before the first succeeds; then what fails is not their settings."""

_TICK = 1.0
"""Seconds between two looks at what runs."""

_ERROR, _SCORES, _REPEATS = "error", "scores", "repeats"


def run_search(plan: Plan, engine: Engine, watch: Watch, *, caller: Caller | None = None) -> list[Trial]:
    """Run every trial that is not over yet.

    Trials of one engine slot are the same for the same plan, however often they are interrupted; of several
    slots each is proposed while others still run, so that the order of their ends counts too.

    Args:
        plan: what to search.
        engine: where trials are trained; it is closed at the end, and on any exception, Ctrl-C too.
        watch: is shown all trials after every change and about once a second.
        caller: by whose command, for the runs.

    Returns:
        The trials in the order of their numbers: as many as planned, unless the first ones all failed.

    Raises:
        UsageError: the plan makes no sense, its folder holds another search, or Optuna is not installed.
        InUse: another process searches or sweeps into the same folder.
        DataError: the folder or the database cannot be written.
        CheckpointError: the scores of a finished trial cannot be read.
    """
    with closing(engine):
        check_plan(plan)
        import_optuna()
        names = [trial_name(number) for number in range(plan.trials)]
        with claimed_sweep(plan.folder, names):
            make_folder(plan.folder)
            with opened_study(plan) as study:
                return _Search(plan, study, engine, watch, caller).run()


class _Search:
    """A search while it runs."""

    def __init__(
        self, plan: Plan, study: "Study", engine: Engine, watch: Watch, caller: Caller | None
    ) -> None:
        self.plan, self.study, self.engine, self.watch, self.caller = plan, study, engine, watch, caller
        self.distributions = distributions_of(plan.over)
        self.trials = [self._restored(one) for one in self.study.trials]
        self.waiting = deque(one for one in self.trials if one.status == "queued")

    def run(self) -> list[Trial]:
        self.watch(self.trials)
        while self._started() or any(one.status == "running" for one in self.trials):
            self.watch(self.trials)
            for ended in self.engine.ended(_TICK):
                trial = next(one for one in self.trials if one.name == ended.name)
                self._note(trial, ended.error)
                self.watch(self.trials)
        return self.trials

    def _restored(self, known: "FrozenTrial") -> Trial:
        """A trial as the database tells of it."""
        trial = self._trial(known)
        if not known.state.is_finished():
            # Before the stage that follows the last one that was scored it may have to be given up.
            trial.stage = len(known.intermediate_values)
            return trial
        trial.found = trial.kept = True
        trial.error = known.user_attrs.get(_ERROR, "")
        trial.scores = {int(seed): score for seed, score in known.user_attrs.get(_SCORES, {}).items()}
        repeats = known.user_attrs.get(_REPEATS)
        if repeats is not None:
            trial.status, trial.folder = "repeated", self.plan.folder / trial_name(repeats)
        else:
            complete = known.state == import_optuna().trial.TrialState.COMPLETE
            trial.status = "failed" if trial.error else "done" if complete else "pruned"
        return trial

    def _trial(self, known: Any) -> Trial:
        # In the order of the plan; a database may have another.
        values = {one.name: known.params[one.name] for one in self.plan.over}
        return Trial(
            number=known.number,
            values=values,
            config=self.plan.config(values),
            folder=self.plan.folder / trial_name(known.number),
        )

    def _started(self) -> bool:
        """Start as many trials as there is room for; whether any was."""
        before = sum(one.status == "running" for one in self.trials)
        running = before
        while running < self.engine.slots and (trial := self._next()):
            if self._repeats(trial) or self._given_up(trial):
                self.watch(self.trials)
                continue
            trial.status = "running"
            self.engine.start(self._job(trial))
            running += 1
        return running > before

    def _next(self) -> Trial | None:
        if self.waiting:
            return self.waiting.popleft()
        failed = sum(one.status == "failed" for one in self.trials)
        succeeded = any(one.status in {"done", "pruned"} for one in self.trials)
        if len(self.trials) >= self.plan.trials or (failed >= HOPELESS and not succeeded):
            return None
        self.study.sampler = sampler_of(self.plan, len(self.trials))
        trial = self._trial(self.study.ask(self.distributions))
        self.trials.append(trial)
        return trial

    def _job(self, trial: Trial) -> Job:
        stage = self.plan.stages[trial.stage]
        return Job(
            name=trial.name,
            title=trial.title,
            config=self.plan.stage_config(trial.values, stage),
            seeds=stage.seeds,
            folder=trial.folder,
            caller=self.caller and replace(self.caller, title=f"trial {trial.number}"),
            searched=self.plan.searched(trial.number),
        )

    def _repeats(self, trial: Trial) -> bool:
        """Score a trial by an earlier one of the same settings, which would train to the same scores."""
        same = (one for one in self.trials if one.status == "done" and one.config == trial.config)
        earlier = next((one for one in same if one.number < trial.number), None)
        if earlier is None or trial.stage:
            return False
        trial.status, trial.folder, trial.scores = "repeated", earlier.folder, earlier.scores
        self._keep(trial, _REPEATS, earlier.number)
        self._tell(trial)
        return True

    def _given_up(self, trial: Trial) -> bool:
        """Give up a trial whose last stage was hopeless beside the earlier trials'."""
        if not trial.stage or not self._handle(trial).should_prune():
            return False
        stage = self.plan.stages[trial.stage - 1]
        trial.status, trial.scores = "pruned", self._scores(trial, stage.seeds)
        self._tell(trial, pruned=True)
        return True

    def _note(self, trial: Trial, error: str) -> None:
        """Take in that a trial's stage ended."""
        trial.error, trial.status = error, "queued"
        stage = self.plan.stages[trial.stage]
        try:
            trial.scores = {} if error else self._scores(trial, stage.seeds)
        except CheckpointError as lost:
            trial.error = str(lost)
        if trial.error:
            self._note_failure(trial)
        elif trial.stage + 1 < len(self.plan.stages):
            self._handle(trial).report(trial.score, trial.stage)
            trial.stage += 1
            self.waiting.appendleft(trial)
        else:
            trial.status = "done"
            self._tell(trial)
            self._tell_failures()

    def _note_failure(self, trial: Trial) -> None:
        trial.failures += 1
        if trial.failures < ATTEMPTS:
            self.waiting.append(trial)
            return
        trial.status = "failed"
        if any(one.status == "done" for one in self.trials):
            self._tell_failures()

    def _tell_failures(self) -> None:
        """Keep that trials failed, once another succeeded: until then it need not be their settings.

        They count as the worst, so that the sampler keeps away from them.
        """
        for trial in self.trials:
            if trial.status == "failed" and not trial.kept:
                self._keep(trial, _ERROR, trial.error)
                self._tell(trial, pruned=True)

    def _scores(self, trial: Trial, seeds: Sequence[int]) -> dict[int, float]:
        return validation_scores(trial.folder, seeds, self.plan.select, self.plan.select_on)

    def _handle(self, trial: Trial) -> Any:
        """Optuna's own of a trial, which outlives its process."""
        from optuna.trial import Trial as Handle

        return Handle(self.study, self.study.trials[trial.number]._trial_id)

    def _keep(self, trial: Trial, name: str, value: Any) -> None:
        self._handle(trial).set_user_attr(name, value)

    def _tell(self, trial: Trial, *, pruned: bool = False) -> None:
        state = import_optuna().trial.TrialState
        trial.kept = True
        self._keep(trial, _SCORES, {str(seed): score for seed, score in trial.scores.items()})
        if pruned:
            self.study.tell(trial.number, state=state.PRUNED)
        else:
            self.study.tell(trial.number, trial.score)


def is_over(plan: Plan, trials: Sequence[Trial]) -> bool:
    """Whether every trial of a search is over."""
    return len(trials) == plan.trials and all(one.status in OVER for one in trials)

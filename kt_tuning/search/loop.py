"""The search as a driver of an executor: which trial is next, and what came of each."""

from __future__ import annotations

import dataclasses
import logging
import math
import time

import keras_tuner

from kt_tuning.execution import advice
from kt_tuning.records import (
    COMPLETED,
    FAILED,
    INFEASIBLE,
    PAUSE,
    PAUSED,
    PRUNED,
    RESULT,
    TrialRecord,
)
from kt_tuning.search.auto import Plan
from kt_tuning.search.budget import Budget
from kt_tuning.search.deaths import MOST, DeathNotes
from kt_tuning.search.display import SearchDisplay
from kt_tuning.search.families import family_of
from kt_tuning.search.ladder import ladder_of
from kt_tuning.search.objectives import register_metrics
from kt_tuning.search.oracle import OptunaOracle
from kt_tuning.search.proposer import Restriction
from kt_tuning.search.run_directory import RunDirectory
from kt_tuning.search.rungs import REDUCTION, Going
from kt_tuning.search.specifying import Specifier, TrialOptions
from kt_tuning.tracking import TrackedTrial, Tracking
from kt_tuning.trials import Advice, Progress, TrialFiles, TrialSpec
from kt_tuning.units import count

logger = logging.getLogger("kt_tuning")

POLL = 1.0
"""Seconds until an oracle that has no trial now is asked again."""


class SearchLoop:
    """Takes trials from the tuner's oracle and returns what came of them.

    Args:
        tuner: Its oracle proposes; its hooks are called around each trial.
        run: Where trials are kept.
        display: Shown every epoch and trial.
        budget: When no further trial is begun.
        options: What all trials have in common.
        tracking: Told every epoch and trial, too.
        plan: What was chosen for the images, if the families were.
        in_process: Whether trials run in this very process.
    """

    def __init__(
        self,
        tuner: keras_tuner.Tuner,
        run: RunDirectory,
        display: SearchDisplay,
        budget: Budget,
        options: TrialOptions,
        tracking: Tracking,
        *,
        plan: Plan,
        in_process: bool = False,
    ) -> None:
        self._tuner = tuner
        self._run = run
        self._display = display
        self._budget = budget
        self._options = options
        self._tracking = tracking
        self._plan = plan
        # The oracle tells those who run trials apart by the seats that they have.
        self._seats: dict[str, str] = {}
        self._in_process = in_process
        self._running: dict[str, DeathNotes] = {}
        self._shared = isinstance(tuner.oracle, OptunaOracle) and tuner.oracle.shared
        self._ladder = ladder_of(tuner.oracle, run, budget, several=options.several)
        longest = math.inf if self._ladder is None else self._ladder.longest
        self._specifier = Specifier(tuner.oracle, run, budget, options, longest)
        self._idle = False
        self._earlier = frozenset(record.trial_id for record in run.trials())
        self._watched = set(self._earlier)
        # Whoever starts anew may have found the cause: they do not end this search.
        self._failed_earlier = {r.trial_id for r in run.trials() if r.status == FAILED}
        self.reason: str | None = None

    def watch(self) -> str | None:
        """Hear what workers elsewhere have finished; why no further trial is begun, or None."""
        for record in self._run.finished():
            if record.trial_id not in self._watched and record.status != PAUSED:
                self._watched.add(record.trial_id)
                self._display.trial_ended(record, self._run.best_trials(1))
                folder = self._run.trial(record.trial_id)
                self._tracking.tell(
                    TrackedTrial(record.trial_id, record.number, record.values, folder, record)
                )
        return self._exhausted()

    def _exhausted(self) -> str | None:
        best = next(iter(self._run.best_trials(1)), None)
        trials = [t for t in self._run.finished() if t.trial_id not in self._failed_earlier]
        return self._budget.exhausted(trials, best, running=self._runs_any())

    def _runs_any(self) -> bool:
        """Whether a trial is running here."""
        paused = [] if self._ladder is None else self._ladder.paused
        return len(self._seats) > len(paused)

    def next_job(self) -> TrialSpec | None:
        """The next trial, or None if there is none now; `reason` then says why, if it is known."""
        while True:
            self.reason = self._exhausted()
            spec = None if self.reason else self._take()
            if spec is None and not self.reason and self._idle and not self._runs_any():
                # Others run the last trials; if one of them dies, its trial goes on here.
                self.close()
                time.sleep(POLL)
                continue
            if spec is None:
                return None
            if (spec.directory / RESULT).exists():
                # A kill came after the result and before the oracle heard of it.
                self.finished(spec, TrialRecord.load(spec.directory / RESULT))
            elif self._survives(spec):
                return spec

    def _survives(self, spec: TrialSpec) -> bool:
        """Note that a trial runs in this process; fail it if that killed earlier processes."""
        if not self._in_process:
            return True
        notes = DeathNotes(spec.directory)
        deaths = notes.begin(len(self._run.curve(spec.trial_id)))
        if deaths >= MOST:
            self._fail(spec, "its process died while it was trained")
            return False
        if deaths:
            logger.warning(
                "trial %d: its process died while it was trained; it goes on after its last "
                "epoch. %s",
                spec.number,
                advice(),
            )
        self._running[spec.trial_id] = notes
        return True

    def leave(self) -> None:
        """Note that this process runs no trial any more, whatever ended the search."""
        for notes in self._running.values():
            notes.end()
        self._running.clear()

    def _take(self) -> TrialSpec | None:
        best = self._worth_another()
        if best is not None and (neighbour := self._begin(near=best)) is not None:
            return neighbour
        trials = self._run.finished()
        if not self._budget.has_time_for(1 / REDUCTION, trials):
            # A new trial would not even reach the last rung of a whole training.
            return self._go_on(Going.ANY) or self._begin()
        going = Going.BEST_THIRD if self._budget.has_time_for(1, trials) else Going.BEST
        return self._go_on(going) or self._begin() or self._go_on(Going.BEST)

    def _worth_another(self) -> str | None:
        """The best trial, if now is the last time for training a neighbour of it to the end."""
        oracle = self._tuner.oracle
        if not isinstance(oracle, OptunaOracle) or not oracle.ends_near_best:
            return None
        whole = (t for t in self._run.best_trials(None) if t.status == COMPLETED and not t.message)
        best = next(whole, None)
        if best is not None and self._budget.ends_at_once(family_of(best.values)):
            return None
        # Those that an earlier search ended with do not count, if this one has more time.
        begun = len(oracle.neighbours() - self._earlier)
        if best is None or not self._budget.is_last_chance(best, begun):
            return None
        return best.trial_id

    def _begin(self, near: str | None = None) -> TrialSpec | None:
        """A trial that the oracle hands out; None if it has none.

        Args:
            near: Id of the trial that a new one should hardly differ from.
        """
        while True:
            seat = next(
                name
                for number in range(len(self._seats) + 1)
                if (name := f"{self._tuner.tuner_id}.{number}") not in self._seats.values()
            )
            # Only ours knows of these.
            hints = {"near": near, "restriction": None if near else self._restriction()}
            given = {name: hint for name, hint in hints.items() if hint is not None}
            trial = self._tuner.oracle.create_trial(seat, **given)
            self._idle = trial.status == "IDLE"
            if trial.status != "RUNNING":
                return None
            self._seats[trial.trial_id] = seat
            self._set_aside(trial.trial_id)
            first = not self._run.best_trials(1)
            spec = self._specifier.specify(
                trial,
                first=first,
                early=first and len(self._seats) == 1,
                spared=self._plan.includes(trial.hyperparameters.values),
            )
            if self._ladder is not None and self._shared:
                self._ladder.adopt(spec.trial_id, self._run.curve(spec.trial_id))
            paused = (spec.directory / PAUSE).exists() and not (spec.directory / RESULT).exists()
            if self._ladder is None or not paused:
                break
            # It had paused before the search was interrupted.
            self._pause(spec, TrialRecord.load(spec.directory / PAUSE))
        self._display.trial_started(spec.number, spec.epochs)
        self._track(spec)
        self._tuner.on_trial_begin(trial)
        return spec

    def _restriction(self) -> Restriction | None:
        """Which families a new trial may be of; None if there are not several."""
        families = list(self._budget.family_epochs)
        if len(families) < 2 or not isinstance(self._tuner.oracle, OptunaOracle):
            return None
        trials, best = self._run.finished(), self._run.best_trials()
        affordable = self._budget.affordable(families, trials)
        held_back = self._plan.held_back(trials)
        order = [family_of(record.values) for record in best]
        preferred = [family for family in affordable if family not in held_back]
        preferred.sort(key=lambda family: order.index(family) if family in order else len(order))
        return Restriction(affordable, preferred)

    def _set_aside(self, trial_id: str) -> None:
        """Set the record of a failed attempt aside if the oracle has begun the trial again."""
        oracle, failures = self._tuner.oracle, 0
        if isinstance(oracle, OptunaOracle):
            failures = oracle.failures(trial_id)
        elif trial_id in self._failed_earlier:
            failures = self._run.failures(trial_id) + 1
        if failures:
            self._run.set_aside(trial_id, failures)
        self._failed_earlier.discard(trial_id)

    def _go_on(self, going: Going) -> TrialSpec | None:
        """The paused trial that has deserved to go on, if there is one."""
        spec = None if self._ladder is None else self._ladder.go_on(going)
        if spec is None:
            return None
        self._display.trial_started(spec.number, spec.epochs)
        spent = self._run.seconds(spec.trial_id)
        return dataclasses.replace(spec, deadline=self._budget.trial_deadline(spent=spent))

    def _pause(self, job: TrialSpec, record: TrialRecord) -> None:
        oracle = self._tuner.oracle
        assert isinstance(oracle, OptunaOracle)
        assert self._ladder is not None
        self._left(job)
        if standing := self._ladder.pause(job):
            oracle.rank(job.trial_id, standing.rung, standing.value)
        self._run.note(record)
        self._display.trial_ended(record, self._run.best_trials(1))

    def close(self) -> None:
        """End the trials that are still paused: the search is over."""
        oracle = self._tuner.oracle
        for job in [] if self._ladder is None else self._ladder.paused:
            record = TrialRecord.load(job.directory / PAUSE)
            message = f"pruned after {count(record.epochs, 'epoch')}"
            record = dataclasses.replace(record, status=PRUNED, message=message)
            record.save(job.directory / RESULT)
            oracle.cut_short(job.trial_id)
            self._tell(job, record)
            TrialFiles(job.directory).clear()

    def reported(self, job: TrialSpec, progress: Progress) -> Advice:
        """Hear how far a trial is, and whether others deserve the time more."""
        self._display.epoch_ended(job.number, progress)
        self._track(job)
        oracle = self._tuner.oracle
        if progress.step is None or not isinstance(oracle, OptunaOracle):
            return Advice.GO_ON
        if self._budget.ends_at_once(family_of(job.hp.values)):
            # There is nothing to compare it with: the first epochs of others tell less.
            return Advice.GO_ON
        ladder, trial, value = self._ladder, job.trial_id, progress.value
        go_on = oracle.report(trial, progress.step, value, prune=ladder is None)
        if ladder is None:
            return Advice.GO_ON if go_on else Advice.STOP
        standing = ladder.climb(trial, progress.epoch, progress.seconds, value)
        if standing is None:
            return Advice.GO_ON
        oracle.rank(trial, standing.rung, standing.value)
        if not standing.pause or (oracle.spares_first and job.number == 0):
            return Advice.GO_ON
        if self._plan.spares(job.hp.values):
            return Advice.GO_ON
        return Advice.GO_ON if trial in oracle.neighbours() else Advice.PAUSE

    def finished(self, job: TrialSpec, result: TrialRecord) -> None:
        """Hear what came of a trial."""
        if result.status == PAUSED:
            self._pause(job, result)
            return
        self._tell(job, result)
        self._display.trial_ended(result, self._run.best_trials(1))

    def _tell(self, job: TrialSpec, result: TrialRecord) -> None:
        """Tell the oracle."""
        self._left(job)
        if result.usable:
            DeathNotes(job.directory).forget()
        oracle = self._tuner.oracle
        trial = oracle.get_trial(job.trial_id)
        # It may have been built in another process, where new hyperparameters appeared.
        trial.hyperparameters = job.hp
        # A pruned trial has a value like any other; what else it is the oracle knows.
        trial.status = COMPLETED if result.usable else self._failure(result)
        trial.message = result.message
        if result.usable:
            register_metrics(trial, result.metrics, self._tuner.objectives)
            oracle.update_trial(job.trial_id, result.metrics, step=result.best_epoch)
        self._tuner.on_trial_end(trial)
        del self._seats[job.trial_id]
        if self._ladder is not None:
            self._ladder.end(job.trial_id, usable=result.usable)
        self._run.note(result)
        self._track(job, result)

    def _track(self, job: TrialSpec, result: TrialRecord | None = None) -> None:
        """Tell the trackers that a trial has news."""
        self._tracking.tell(
            TrackedTrial(job.trial_id, job.number, dict(job.hp.values), job.directory, result)
        )

    def _failure(self, result: TrialRecord) -> str:
        """KerasTuner's own oracles know nothing of limits."""
        feasible = result.status != INFEASIBLE
        return (
            FAILED if feasible or not isinstance(self._tuner.oracle, OptunaOracle) else INFEASIBLE
        )

    def crashed(self, job: TrialSpec, reason: str) -> bool:
        """Give a trial whose process died a second chance, and fail it after that."""
        deaths = DeathNotes(job.directory).died(len(self._run.curve(job.trial_id)))
        if deaths < MOST:
            logger.warning(
                "trial %d: %s; it goes on after its last epoch. %s",
                job.number,
                reason,
                advice(reason),
            )
            return True
        self._fail(job, reason)
        return False

    def _left(self, job: TrialSpec) -> None:
        """Note that this process does not run a trial any more."""
        if notes := self._running.pop(job.trial_id, None):
            notes.end()

    def _fail(self, job: TrialSpec, reason: str) -> None:
        """End a trial whose process died again without a further epoch."""
        record = TrialRecord(
            trial_id=job.trial_id,
            number=job.number,
            status=FAILED,
            values=dict(job.hp.values),
            metrics={},
            best_epoch=0,
            epochs=0,
            seconds=0.0,
            parameters=0,
            message=f"{reason}, twice. {advice(reason)}",
        )
        record.save(job.directory / RESULT)
        self.finished(job, record)

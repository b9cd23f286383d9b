"""The trial loop of a search: an executor asks it for trials and reports what happens to them."""

from __future__ import annotations

import dataclasses
import logging
import math
import time

from keras_tuner.engine.trial import Trial

from kt_tuning.core.quiet import ONCE
from kt_tuning.core.records import COMPLETED, FAILED, PAUSED, PRUNED, TrialRecord
from kt_tuning.core.units import count
from kt_tuning.execution import crash_hint
from kt_tuning.run.layout import PAUSE, RESULT
from kt_tuning.search.auto import Plan
from kt_tuning.search.budget import Budget, family_of
from kt_tuning.search.display import SearchDisplay
from kt_tuning.search.objectives import register_metrics
from kt_tuning.search.overridable import OverridableTuner
from kt_tuning.search.pruning import REDUCTION, Promotion, RungTable
from kt_tuning.search.run_directory import RunDirectory
from kt_tuning.search.stock_oracle import SearchOracle
from kt_tuning.tracking import TrackedTrial, Tracking
from kt_tuning.trials import Decision, Progress, TrialFiles, TrialSpec
from kt_tuning.trials.spec import MAX_CRASHES, CrashLog

logger = logging.getLogger("kt_tuning")

POLL = 1.0
"""Seconds between two requests to an oracle that has no trial now."""


class SearchLoop:
    """Gets trials from the oracle, decides which of them pause, and returns their results.

    Args:
        tuner: Has the settings of all trials. Its hooks are called around each trial. Its id is the
            prefix of the names of worker slots, by which the oracle tells workers apart.
        oracle: The tuner's oracle, adapted.
        run: Directory of the trials.
        budget: Decides when no further trial starts.
        plan: First configurations of a search that chooses its families.
        display: Shows every epoch and trial.
        tracking: Logs every epoch and trial.
        in_process: Whether trials run in this process.

    Attributes:
        reason: Why no further trial starts, if the budget decided so.
    """

    def __init__(
        self,
        tuner: OverridableTuner,
        oracle: SearchOracle,
        run: RunDirectory,
        budget: Budget,
        plan: Plan,
        *,
        display: SearchDisplay,
        tracking: Tracking,
        in_process: bool,
    ) -> None:
        self._tuner, self._oracle, self._run = tuner, oracle, run
        self._budget, self._plan = budget, plan
        self._display, self._tracking, self._in_process = display, tracking, in_process
        self._earlier = frozenset(record.trial_id for record in run.trials())
        # Trials that failed and have not been started again: earlier ones do not end the search, as
        # their cause may have been removed.
        self._failed = {record.trial_id for record in run.trials() if record.status == FAILED}
        self._slots: dict[str, str] = {}
        """Slots in use by trial, those of paused trials included."""
        self._idle = False
        self._running: dict[str, CrashLog] = {}
        self._rungs: RungTable | None = None
        if oracle.pauses and tuner._trainings == 1:
            maximise = tuner.objectives[0].direction == "max"
            self._rungs = RungTable.of_search(oracle, budget, run, maximise=maximise)
        self._watched = set(self._earlier)
        self.reason: str | None = None

    def watch(self) -> str | None:
        """Show the trials that workers elsewhere have finished; return why none starts, or None."""
        for record in self._run.trials():
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
        trials = [t for t in self._run.trials() if t.trial_id not in self._failed]
        return self._budget.exhausted(trials, best, running=self._runs_any())

    def _runs_any(self) -> bool:
        """Whether a trial is running in this search."""
        paused = [] if self._rungs is None else self._rungs.paused
        return len(self._slots) > len(paused)

    def next_job(self) -> TrialSpec | None:
        """The next trial, or None if there is none now; see `reason`."""
        while True:
            self.reason = self._exhausted()
            spec = None if self.reason else self._take()
            if spec is None and not self.reason and self._idle and not self._runs_any():
                # Other processes run the last trials; if one dies, its trial continues here.
                self.close()
                time.sleep(POLL)
                continue
            if spec is None:
                return None
            if (spec.directory / RESULT).exists():
                # The process was killed after the result and before the oracle was told.
                self.finished(spec, TrialRecord.load(spec.directory / RESULT))
            elif self._survives(spec):
                return spec

    def _survives(self, spec: TrialSpec) -> bool:
        """Log that a trial runs in this process; fail it if it killed earlier processes."""
        if not self._in_process:
            return True
        log = CrashLog(spec.directory)
        crashes = log.begin(len(self._run.curve(spec.trial_id)))
        reason = "its process died while it was trained"
        if crashes and not self._continues(spec, crashes, reason):
            return False
        self._running[spec.trial_id] = log
        return True

    def _continues(self, job: TrialSpec, crashes: int, reason: str) -> bool:
        """Whether a trial goes on after crashes of its process; if not, it has failed."""
        if crashes < MAX_CRASHES:
            hint = crash_hint(reason)
            text = "trial %d: %s; it continues after its last finished epoch. %s"
            logger.warning(text, job.number, reason, hint)
            return True
        record = job.record(FAILED, message=f"{reason}, {MAX_CRASHES} times. {crash_hint(reason)}")
        record.save(job.directory / RESULT)
        self.finished(job, record)
        return False

    def leave(self) -> None:
        """Log that this process runs no trial any more, whatever ended the search."""
        for log in self._running.values():
            log.end()
        self._running.clear()

    def _take(self) -> TrialSpec | None:
        """Perturb the best trial, promote a paused one, or start a new one."""
        best = self._near_best()
        if best is not None and (near_best := self._start(near=best)) is not None:
            return near_best
        trials = self._run.trials()
        if not self._budget.has_time_for(1 / REDUCTION, trials):
            # A new trial would not reach the last rung of a full training.
            return self._promote(Promotion.ANY) or self._start()
        promotion = Promotion.BEST_THIRD if self._budget.has_time_for(1, trials) else Promotion.BEST
        return self._promote(promotion) or self._start() or self._promote(Promotion.BEST)

    def _near_best(self) -> str | None:
        """The best trial if a perturbation of it should be trained to its end now, else None."""
        oracle = self._oracle
        if not oracle.ends_near_best:
            return None
        whole = (t for t in self._run.best_trials() if t.status == COMPLETED and not t.message)
        best = next(whole, None)
        if best is None or self._budget.ends_at_once(family_of(best.values)):
            return None
        # The perturbations at the end of an earlier run do not count if there is more time now.
        begun = len(oracle.perturbations() - self._earlier)
        return best.trial_id if self._budget.is_last_chance(best, begun) else None

    def _start(self, near: str | None = None) -> TrialSpec | None:
        """Start a trial of the oracle, or one that it hands out again; None if it has none."""
        while True:
            self._tuner.pre_create_trial()
            trial = self._next_trial(near)
            if trial is None:
                return None
            spec = self._specify(trial)
            if self._rungs is not None and self._oracle.shared:
                self._rungs.adopt(spec.trial_id, self._run.curve(spec.trial_id))
            paused = (spec.directory / PAUSE).exists() and not (spec.directory / RESULT).exists()
            if self._rungs is None or not paused:
                break
            self._pause(spec, TrialRecord.load(spec.directory / PAUSE))
        self._display.trial_started(spec.number, spec.epochs)
        self._track(spec)
        self._tuner.on_trial_begin(trial)
        return spec

    def _next_trial(self, near: str | None) -> Trial | None:
        """Get the next trial of the oracle, which may perturb another one; None if it has none."""
        first_free = next(
            name
            for number in range(len(self._slots) + 1)
            if (name := f"{self._tuner.tuner_id}.{number}") not in self._slots.values()
        )
        restriction = None if near else self._plan.restriction(self._budget, self._run)
        trial = self._oracle.create_trial(first_free, near, restriction)
        self._idle = trial.status == "IDLE"
        if trial.status != "RUNNING":
            return None
        self._slots[trial.trial_id] = first_free
        failures = self._oracle.failures(trial.trial_id)
        if failures is None and trial.trial_id in self._failed:
            failures = self._run.failures(trial.trial_id) + 1
        if failures:
            self._run.set_aside(trial.trial_id, failures)
        self._failed.discard(trial.trial_id)
        return trial

    def _specify(self, trial: Trial) -> TrialSpec:
        values = trial.hyperparameters.values
        family = family_of(values)
        full = self._budget.epochs_of(family)
        first = len(self._slots) == 1 and not self._run.best_trials(1)
        planned = self._plan.includes(values)
        kept = planned and (self._budget.ends_at_once(family) or self._plan.never_pauses(values))
        early = first and (planned or self._budget.ends_at_once(family))
        deadline = self._budget.trial_deadline(early=early)
        left = math.inf if deadline is None or kept or first else deadline - time.monotonic()
        # The client of a chief has no order of start; its trial ids are numbers.
        order = getattr(self._tuner.oracle, "start_order", None)
        number = int(trial.trial_id) if order is None else int(order.index(trial.trial_id))
        spec = self._tuner._spec(trial, number=number, epochs=full)
        return dataclasses.replace(
            spec,
            epochs=min(full, spec.epochs),
            deadline=deadline,
            # A first trial is kept however few epochs it trains: there is no other model.
            least_epochs=0 if first else 1 if kept else self._budget.worthwhile_epochs(family),
            longest=left if planned else math.inf if self._rungs is None else self._rungs.longest,
        )

    def _promote(self, promotion: Promotion) -> TrialSpec | None:
        """Continue the best promotable trial, if there is one."""
        spec = None if self._rungs is None else self._rungs.promote(promotion)
        if spec is None:
            return None
        self._display.trial_started(spec.number, spec.epochs)
        spent = self._run.seconds(spec.trial_id)
        return dataclasses.replace(spec, deadline=self._budget.trial_deadline(spent=spent))

    def _pause(self, job: TrialSpec, record: TrialRecord) -> None:
        assert self._rungs is not None
        self._rungs.pause(job)
        self._run.note(record)
        self._display.trial_ended(record, self._run.best_trials(1))

    def close(self) -> None:
        """End the trials that are still paused: the search is over."""
        if self._rungs is None:
            return
        for job in self._rungs.paused:
            record = TrialRecord.load(job.directory / PAUSE)
            message = f"pruned after {count(record.epochs, 'epoch')}"
            record = dataclasses.replace(record, status=PRUNED, message=message)
            record.save(job.directory / RESULT)
            self._rungs.oracle.cut_short(job.trial_id)
            self._finish(job, record)
            TrialFiles(job.directory).clear()

    def reported(self, job: TrialSpec, progress: Progress) -> Decision:
        """Record the progress of a trial and decide whether it continues."""
        if progress.asked is not None and progress.asked is not job.hp:
            job.hp.merge(progress.asked)
        self._display.epoch_ended(job.number, progress)
        self._track(job)
        if progress.step is None or self._budget.ends_at_once(family_of(job.hp.values)):
            # Only some trainings are done; or the family trains one epoch, which is not compared
            # with the first epoch of others.
            return Decision.CONTINUE
        rungs, trial_id = self._rungs, job.trial_id
        proceed = self._oracle.report(trial_id, progress.step, progress.value, prune=rungs is None)
        if rungs is None:
            return Decision.CONTINUE if proceed else Decision.STOP
        if not rungs.add_epoch(trial_id, progress.epoch, progress.seconds, progress.value):
            return Decision.CONTINUE
        keeps_on = (
            (rungs.oracle.default_never_pauses and job.number == 0)
            or self._plan.never_pauses(job.hp.values)
            or trial_id in rungs.oracle.perturbations()
        )
        return Decision.CONTINUE if keeps_on else Decision.PAUSE

    def finished(self, job: TrialSpec, result: TrialRecord) -> None:
        """Record the result of a trial."""
        if log := self._running.pop(job.trial_id, None):
            log.end()
        if result.status == PAUSED:
            self._pause(job, result)
            return
        self._finish(job, result)
        self._display.trial_ended(result, self._run.best_trials(1))

    def _finish(self, job: TrialSpec, result: TrialRecord) -> None:
        """Return the result of a trial to the oracle."""
        if result.usable:
            CrashLog(job.directory).remove()
        if unsearched := sorted(result.values.keys() - job.hp.values.keys()):
            logger.warning(
                "Not searched: %s. Only the hypermodel's `fit` asks for them, in a worker process, "
                "and it reports no epochs. Ask for them in `build` as well, or pass workers=1.",
                ", ".join(unsearched),
                extra={ONCE: "unsearched"},
            )
        oracle = self._tuner.oracle
        trial = oracle.get_trial(job.trial_id)
        # The model may have been built in another process, with new hyperparameters.
        trial.hyperparameters = job.hp
        trial.message = result.message
        if result.usable and not trial.metrics.exists(self._tuner.objectives[0].name):
            register_metrics(trial, result.metrics, self._tuner.objectives)
            oracle.update_trial(job.trial_id, result.metrics, step=result.best_epoch)
        # For the oracle a pruned trial has a value like any other.
        trial.status = COMPLETED if result.usable else self._oracle.failure_status(result.status)
        self._tuner.on_trial_end(trial)
        # KerasTuner runs an "INVALID" trial again; the client of a chief does not know.
        if job.trial_id in getattr(oracle, "_retry_queue", ()):
            # Its record is set aside when the oracle starts it again.
            self._failed.add(job.trial_id)
        del self._slots[job.trial_id]
        if self._rungs is not None:
            self._rungs.end(job.trial_id, usable=result.usable)
        self._run.note(result)
        self._track(job, result)

    def _track(self, job: TrialSpec, result: TrialRecord | None = None) -> None:
        self._tracking.tell(
            TrackedTrial(job.trial_id, job.number, dict(job.hp.values), job.directory, result)
        )

    def crashed(self, job: TrialSpec, reason: str) -> bool:
        """Return whether a trial whose process died runs once more; fail it if not."""
        crashes = CrashLog(job.directory).add(len(self._run.curve(job.trial_id)))
        return self._continues(job, crashes, reason)

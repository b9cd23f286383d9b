"""An executor on the nodes of a Ray cluster.

The work with its data is put into Ray's object store once. Each worker is an actor that runs one
job after the other. Its next message is the result of a pending call, so a lost worker or node is a
failure of that call.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator, Sequence
from typing import Any, Self

from kt_tuning.core.errors import SearchError
from kt_tuning.execution.executor import Driver, Executor, Work
from kt_tuning.execution.logs import LOGGED, show
from kt_tuning.execution.ray import objects
from kt_tuning.execution.ray.cluster import connected, gpus_of, resources, room
from kt_tuning.execution.ray.options import Ray
from kt_tuning.execution.ray.worker_slot import WorkerSlot, stop

logger = logging.getLogger("kt_tuning")

LOOK_SECONDS = 1.0
"""Seconds between two checks for new nodes."""
PATIENCE_SECONDS = 30.0
"""Seconds without any worker before a warning."""
FALSE_STARTS = 3
"""Consecutive workers that are lost before they are ready after which the search fails."""


class RayExecutor(Executor):
    """Runs as many jobs at once as a cluster has room for.

    Args:
        options: The cluster, and the resources of each job.
        imports: Modules that take long to import; workers import them while they wait for work.
    """

    def __init__(self, options: Ray, *, imports: Sequence[str] = ()) -> None:
        self._options = options
        self._imports = imports
        self._slots: list[WorkerSlot] = []
        self._jobs: int | None = None
        self._looked = 0.0
        self._false_starts = 0
        self._waiting_since: float | None = None

    @contextlib.contextmanager
    def started(self, jobs: int | None = None) -> Iterator[Self]:
        """Connect and start workers, at most one a job; they are stopped after the block.

        Args:
            jobs: Largest number of jobs; None if unknown.

        Raises:
            MissingExtraError: if Ray is not installed.
            OptionError: if there is no such cluster.
        """
        self._jobs = jobs
        if jobs == 0:
            yield self
            return
        with connected(self._options):
            try:
                self._look()
                yield self
            finally:
                self._stop()

    def run(self, work: Work, driver: Driver) -> None:
        """Run jobs until none is left and none is running.

        Raises:
            MissingExtraError: if Ray is not installed.
            OptionError: if `work` cannot be sent to another machine, or there is no such cluster.
            SearchError: if workers do not start.
            Exception: any error of `work`.
        """
        packed = objects.pack(work)
        job = driver.next_job()
        if job is None:
            return
        with connected(self._options):
            import ray

            try:
                self._run(ray.put(packed), driver, [job])
            finally:
                self._stop()

    def _run(self, work: Any, driver: Driver, waiting: list[Any]) -> None:
        """Run jobs.

        Args:
            work: Reference to the work.
            driver: Provides further jobs.
            waiting: Jobs that no worker has yet.
        """
        more = True
        while True:
            more = self._hand_out(work, driver, waiting, more=more)
            if not more and not any(slot.job is not None for slot in self._slots):
                return
            if more:
                self._look()
            for slot in self._wait():
                more = self._listen(slot, driver, waiting) or more

    def _hand_out(self, work: Any, driver: Driver, waiting: list[Any], *, more: bool) -> bool:
        """Give every free worker a job.

        Args:
            work: Reference to the work.
            driver: Provides further jobs.
            waiting: Jobs that come first.
            more: Whether the driver may have further jobs.

        Returns:
            Whether there may still be further jobs.
        """
        for slot in self._slots:
            if slot.ready and slot.job is None and (waiting or more):
                job = waiting.pop() if waiting else driver.next_job()
                if job is None:
                    return False
                slot.give(job, work)
        return more or bool(waiting)

    def _wait(self) -> list[WorkerSlot]:
        """Wait for a message, at most `LOOK_SECONDS`; return the workers that have one."""
        import ray

        slots = {slot.news: slot for slot in self._slots}
        heard, _ = ray.wait(list(slots), num_returns=1, timeout=LOOK_SECONDS)
        self._warn_of_waiting()
        return [slots[reference] for reference in heard]

    def _listen(self, slot: WorkerSlot, driver: Driver, waiting: list[Any]) -> bool:
        """Handle a message; return whether the driver may have another job now."""
        try:
            kind, content = slot.receive()
        except EOFError as error:
            return self._lose(slot, str(error), driver, waiting)
        if kind == "ready":
            self._false_starts = 0
        elif kind == "report":
            slot.answer(driver.reported(slot.job, *content))
        elif kind == LOGGED:
            show(content)
        elif kind == "raised":
            raise content
        elif kind == "finished":
            job, slot.job = slot.job, None
            driver.finished(job, content)
            return True
        return False

    def _lose(self, slot: WorkerSlot, reason: str, driver: Driver, waiting: list[Any]) -> bool:
        # It may still run and only be unreachable.
        slot.kill()
        self._slots.remove(slot)
        if not any(each.ready for each in (slot, *self._slots)):
            self._false_starts += 1
            if self._false_starts >= FALSE_STARTS:
                raise SearchError(
                    f"Workers do not start on the cluster: {reason}. Is this version of kt-tuning "
                    "installed on its nodes?"
                )
        if slot.job is None:
            return False
        if driver.crashed(slot.job, reason):
            waiting.append(slot.job)
        return True

    def _look(self) -> None:
        """Start workers where nodes have room, once every `LOOK_SECONDS`."""
        now = time.monotonic()
        if self._slots and now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        # A worker that waits for room lets an autoscaling cluster grow.
        cpus, nodes = self._options.cpus, resources()
        gpus = gpus_of(nodes, self._options.gpus)
        self.workers = max(1, room(nodes, cpus, gpus))
        wanted = self.workers if self._jobs is None else min(self.workers, max(1, self._jobs))
        for _ in range(wanted - len(self._slots)):
            self._slots.append(WorkerSlot(cpus, gpus, self._imports))

    def _warn_of_waiting(self) -> None:
        if any(slot.ready for slot in self._slots):
            self._waiting_since = None
            return
        now = time.monotonic()
        if self._waiting_since is None:
            self._waiting_since = now
        elif now - self._waiting_since > PATIENCE_SECONDS:
            self._waiting_since = float("inf")
            logger.warning(
                "The cluster has had no worker for %.0f s; each needs the room of %s. Waiting.",
                PATIENCE_SECONDS,
                self._options,
            )

    def _stop(self) -> None:
        stop(self._slots)
        self._slots.clear()

"""Several jobs at once, on the nodes of a Ray cluster.

The work, and the data in it, is put into Ray's object store once. Each worker is an actor that
takes one job after the other. What it says comes as the result of a call that is always open, so
that a worker or node that is lost shows up as that call's failure.
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
from kt_tuning.execution.ray.seat import Seat, stop

logger = logging.getLogger("kt_tuning")

LOOK_SECONDS = 1.0
"""How often new nodes are looked for."""
PATIENCE_SECONDS = 30.0
"""How long there may be no worker at all before that is worth a warning."""
FALSE_STARTS = 3
"""Workers in a row that are lost before they are ready, while no other one is: none will be."""


class RayExecutor(Executor):
    """Runs as many jobs at once as a cluster has room for.

    Args:
        options: Which cluster, and what of it each job gets.
        imports: Modules that workers import while they wait for work: what takes long.
    """

    def __init__(self, options: Ray, *, imports: Sequence[str] = ()) -> None:
        self._options = options
        self._imports = imports
        self._seats: list[Seat] = []
        self._jobs: int | None = None
        self._looked = 0.0
        self._false_starts = 0
        self._waiting_since: float | None = None

    @contextlib.contextmanager
    def started(self, jobs: int | None = None) -> Iterator[Self]:
        """Connect and start workers, no more than there are jobs; after the block they are gone.

        Args:
            jobs: How many there will be, at most; None if that is not known.

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
        """Run jobs until there are none left and none is running.

        Raises:
            MissingExtraError: if Ray is not installed.
            OptionError: if `work` cannot be sent to another machine, or there is no such cluster.
            SearchError: if workers do not start.
            Exception: whatever `work` raises.
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
            work: Reference to how they are done.
            driver: Has more of them.
            waiting: Those that nobody works on yet.
        """
        more = True
        while True:
            more = self._hand_out(work, driver, waiting, more=more)
            if not more and not any(seat.job is not None for seat in self._seats):
                return
            if more:
                self._look()
            for seat in self._wait():
                more = self._listen(seat, driver, waiting) or more

    def _hand_out(self, work: Any, driver: Driver, waiting: list[Any], *, more: bool) -> bool:
        """Give every free worker a job.

        Args:
            work: Reference to how it is done.
            driver: Has more jobs.
            waiting: Jobs that come first.
            more: Whether the driver is asked.

        Returns:
            Whether there may be more jobs still.
        """
        for seat in self._seats:
            if seat.ready and seat.job is None and (waiting or more):
                job = waiting.pop() if waiting else driver.next_job()
                if job is None:
                    return False
                seat.give(job, work)
        return more or bool(waiting)

    def _wait(self) -> list[Seat]:
        """The workers that have news, once one has or it is time to look for new nodes."""
        import ray

        seats = {seat.news: seat for seat in self._seats}
        heard, _ = ray.wait(list(seats), num_returns=1, timeout=LOOK_SECONDS)
        self._warn_of_waiting()
        return [seats[reference] for reference in heard]

    def _listen(self, seat: Seat, driver: Driver, waiting: list[Any]) -> bool:
        """Hear a worker; whether the driver may have another job now."""
        try:
            kind, content = seat.receive()
        except EOFError as error:
            return self._lose(seat, str(error), driver, waiting)
        if kind == "ready":
            self._false_starts = 0
        elif kind == "report":
            seat.answer(driver.reported(seat.job, *content))
        elif kind == LOGGED:
            show(content)
        elif kind == "raised":
            raise content
        elif kind == "finished":
            job, seat.job = seat.job, None
            driver.finished(job, content)
            return True
        return False

    def _lose(self, seat: Seat, reason: str, driver: Driver, waiting: list[Any]) -> bool:
        # It may be that it only cannot be reached.
        seat.kill()
        self._seats.remove(seat)
        if not any(each.ready for each in (seat, *self._seats)):
            self._false_starts += 1
            if self._false_starts >= FALSE_STARTS:
                raise SearchError(
                    f"Workers do not start on the cluster: {reason}. Is this version of kt-tuning "
                    "installed on its nodes?"
                )
        if seat.job is None:
            return False
        if driver.crashed(seat.job, reason):
            waiting.append(seat.job)
        return True

    def _look(self) -> None:
        """Start workers where nodes have room for them, if it is time to look again."""
        now = time.monotonic()
        if self._seats and now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        # Where there is no room, a worker that waits for some has the cluster grow if it can.
        cpus, nodes = self._options.cpus, resources()
        gpus = gpus_of(nodes, self._options.gpus)
        self.workers = max(1, room(nodes, cpus, gpus))
        wanted = self.workers if self._jobs is None else min(self.workers, max(1, self._jobs))
        for _ in range(wanted - len(self._seats)):
            self._seats.append(Seat(cpus, gpus, self._imports))

    def _warn_of_waiting(self) -> None:
        if any(seat.ready for seat in self._seats):
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
        stop(self._seats)
        self._seats.clear()

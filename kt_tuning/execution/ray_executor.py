"""An executor on the nodes of a Ray cluster.

The work with its data is put into Ray's object store once. Each worker is an actor that runs one
job after the other. Its next message is the result of a pending call, so a lost worker or node is a
failure of that call.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, Self

import cloudpickle

from kt_tuning.core.errors import SearchError
from kt_tuning.core.pickling import pack
from kt_tuning.execution.executor import Driver, Executor, Work, Worker
from kt_tuning.execution.ray_cluster import Ray, connected, gpus_of, resources, room
from kt_tuning.execution.worker import THREADS, RayActor

logger = logging.getLogger("kt_tuning")

LOOK_SECONDS = 1.0
"""Seconds between two checks for new nodes."""
PATIENCE_SECONDS = 30.0
"""Seconds without any worker before a warning."""
FALSE_STARTS = 3
"""Consecutive workers that are lost before they are ready after which the search fails."""
STOP_SECONDS = 5
"""Seconds that workers may take to clean up before they are killed."""


class RayExecutor(Executor):
    """Runs as many jobs at once as a cluster has room for.

    Args:
        options: The cluster, and the resources of each job.
        imports: Modules that take long to import; workers import them while they wait for work.
        jobs: Largest number of jobs, and thus of workers; None if unknown.
    """

    def __init__(
        self, options: Ray, *, imports: Sequence[str] = (), jobs: int | None = None
    ) -> None:
        self._options = options
        self._imports = imports
        self._pool: list[_Actor] = []
        self._jobs = jobs
        self._looked = 0.0
        self._false_starts = 0
        self._waiting_since: float | None = None

    @contextlib.contextmanager
    def started(self) -> Iterator[Self]:
        """Connect and start workers, at most one a job; they are stopped after the block.

        Raises:
            MissingExtraError: if Ray is not installed.
            OptionError: if there is no such cluster.
        """
        if self._jobs == 0:
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
        packed = pack(work)
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
            waiting: Jobs that come first.
        """
        import ray

        while True:
            idle = self._hand_out(work, driver, waiting)
            if not waiting and not any(worker.job is not None for worker in self._pool):
                if idle or (job := driver.next_job()) is None:
                    return
                waiting.append(job)
            if not idle:
                self._look()
            workers = {worker.news: worker for worker in self._pool}
            heard, _ = ray.wait(list(workers), num_returns=1, timeout=LOOK_SECONDS)
            self._warn_of_waiting()
            for reference in heard:
                self._listen(workers[reference], driver, waiting)

    def _hand_out(self, work: Any, driver: Driver, waiting: list[Any]) -> bool:
        """Give every free worker a job; return whether there were too few jobs."""
        for worker in self._pool:
            if worker.ready and worker.job is None:
                job = waiting.pop() if waiting else driver.next_job()
                if job is None:
                    return True
                worker.give(job, work)
        return False

    def _listen(self, worker: _Actor, driver: Driver, waiting: list[Any]) -> None:
        try:
            message = worker.receive()
        except EOFError as error:
            self._lose(worker, str(error))
            if worker.job is not None and driver.crashed(worker.job, str(error)):
                waiting.append(worker.job)
        else:
            self._false_starts = 0
            worker.handle(message, driver)

    def _lose(self, worker: _Actor, reason: str) -> None:
        # It may still run and only be unreachable.
        worker.kill()
        self._pool.remove(worker)
        if not any(each.ready for each in (worker, *self._pool)):
            self._false_starts += 1
            if self._false_starts >= FALSE_STARTS:
                raise SearchError(
                    f"Workers do not start on the cluster: {reason}. Is this version of kt-tuning "
                    "installed on its nodes?"
                )

    def _look(self) -> None:
        """Start workers where nodes have room, once every `LOOK_SECONDS`."""
        now = time.monotonic()
        if self._pool and now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        # A worker that waits for room lets an autoscaling cluster grow.
        cpus, nodes = self._options.cpus, resources()
        gpus = gpus_of(nodes, self._options.gpus)
        self.workers = max(1, room(nodes, cpus, gpus))
        wanted = self.workers if self._jobs is None else min(self.workers, max(1, self._jobs))
        for _ in range(wanted - len(self._pool)):
            self._pool.append(_Actor(cpus, gpus, self._imports))

    def _warn_of_waiting(self) -> None:
        now = time.monotonic()
        if self._waiting_since is None or any(worker.ready for worker in self._pool):
            self._waiting_since = now
        elif now - self._waiting_since > PATIENCE_SECONDS:
            self._waiting_since = float("inf")
            logger.warning(
                "The cluster has had no worker for %.0f s; each needs the room of %s. Waiting.",
                PATIENCE_SECONDS,
                self._options,
            )

    def _stop(self) -> None:
        """Stop all workers in parallel."""
        import ray

        ending = [worker.clean_up() for worker in self._pool if worker.ready]
        try:
            if ending:
                ray.wait(ending, num_returns=len(ending), timeout=STOP_SECONDS)
        finally:
            for worker in self._pool:
                worker.kill()
            self._pool.clear()


class _Actor(Worker):
    """An actor on the cluster, and its next message.

    Args:
        cpus: Processors of the actor.
        gpus: GPUs of the actor.
        imports: Modules that it imports while it waits for work.

    Attributes:
        ready: Whether it runs and has imported its modules. Before that it may wait for room.
        news: Reference to its next message.
    """

    def __init__(self, cpus: float, gpus: float, imports: Sequence[str]) -> None:
        import ray

        remote = ray.remote(
            num_cpus=cpus,
            num_gpus=gpus,
            max_concurrency=THREADS,
            # The driver decides on restarts and retries.
            max_restarts=0,
            max_task_retries=0,
        )(RayActor)
        self.ready = False
        self._actor = remote.remote(list(imports), sys.path, cpus, gpus)
        self.news = self._actor.hear.remote()

    def give(self, job: Any, work: Any) -> None:
        """Send a job and the reference to the packed work."""
        self.job = job
        self._actor.give.remote(cloudpickle.dumps(job), [work])

    def receive(self) -> tuple[str, Any]:
        """Return the message that has arrived, and request the next one.

        Raises:
            EOFError: if the process or the node was lost, with the reason.
        """
        import ray

        try:
            message: tuple[str, Any] = cloudpickle.loads(ray.get(self.news))
        except ray.exceptions.RayError as error:
            raise EOFError(_reason(error)) from error
        self.ready = True
        self.news = self._actor.hear.remote()
        return message

    def answer(self, answer: Any) -> None:
        """Send the answer to its report."""
        self._actor.answer.remote(answer)

    def clean_up(self) -> Any:
        """Remove its temporary files; return a reference that is ready afterwards."""
        return self._actor.end.remote()

    def kill(self) -> None:
        """Kill it, if it still runs."""
        import ray

        with contextlib.suppress(ray.exceptions.RayError):
            ray.kill(self._actor)


def _reason(error: Exception) -> str:
    import ray

    if isinstance(error, ray.exceptions.ActorUnavailableError):
        return "its node does not answer"
    # Ray's reason is the last line without a tab; hints where to look follow it.
    lines = [line for line in str(error).splitlines() if line and not line.startswith("\t")]
    reason = lines[-1].partition(". ")[0] if lines else type(error).__name__
    return f"its worker was lost ({reason})"

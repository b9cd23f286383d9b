"""The driver's side of a worker on the cluster."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from typing import Any

import cloudpickle

from kt_tuning.execution.ray.actor import THREADS, Worker

STOP_SECONDS = 5
"""Seconds that workers may take to clean up before they are killed."""


class WorkerSlot:
    """An actor, its next message, and its job.

    Args:
        cpus: Processors of the actor.
        gpus: GPUs of the actor.
        imports: Modules that it imports while it waits for work.

    Attributes:
        job: Its job, or None.
        ready: Whether it runs and has imported its modules. Before that it may wait for room.
        news: Reference to its next message.
    """

    def __init__(self, cpus: float, gpus: float, imports: Sequence[str]) -> None:
        import ray

        place = ray.remote(
            num_cpus=cpus,
            num_gpus=gpus,
            max_concurrency=THREADS,
            # The driver decides on restarts and retries.
            max_restarts=0,
            max_task_retries=0,
        )
        self.job: Any | None = None
        self.ready = False
        self._actor = place(Worker).remote(list(imports), sys.path, cpus, gpus)
        self.news = self._actor.hear.remote()

    def give(self, job: Any, work: Any) -> None:
        """Send a job.

        Args:
            job: The job.
            work: Reference to the packed work.
        """
        self.job = job
        self._actor.give.remote(cloudpickle.dumps(job), [work])

    def receive(self) -> tuple[str, Any]:
        """Return the message that has arrived, and request the next one.

        Returns:
            Its kind and its content, see `Worker.hear`.

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


def stop(slots: Sequence[WorkerSlot]) -> None:
    """Stop several workers in parallel."""
    import ray

    ending = [slot.clean_up() for slot in slots if slot.ready]
    try:
        if ending:
            ray.wait(ending, num_returns=len(ending), timeout=STOP_SECONDS)
    finally:
        for slot in slots:
            slot.kill()


def _reason(error: Exception) -> str:
    import ray

    if isinstance(error, ray.exceptions.ActorUnavailableError):
        return "its node does not answer"
    # Ray's reason is the last line without a tab; hints where to look follow it.
    lines = [line for line in str(error).splitlines() if line and not line.startswith("\t")]
    reason = lines[-1].partition(". ")[0] if lines else type(error).__name__
    return f"its worker was lost ({reason})"

"""A worker on the cluster as its driver sees it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from typing import Any

import cloudpickle

from kt_tuning.execution.ray.actor import THREADS, Worker

STOP_SECONDS = 5
"""How long workers may take to clean up before they are killed."""


class Seat:
    """An actor, the message that is awaited from it, and what it is doing.

    Args:
        cpus: Processors that it needs.
        gpus: GPUs that it needs.
        imports: Modules that it imports while it waits for work.

    Attributes:
        job: What it works on, or None.
        ready: Whether it runs and has imported its modules. Before that it may wait for room.
        news: Reference to its next message.
    """

    def __init__(self, cpus: float, gpus: float, imports: Sequence[str]) -> None:
        import ray

        place = ray.remote(
            num_cpus=cpus,
            num_gpus=gpus,
            max_concurrency=THREADS,
            # Who starts anew, and with which job, is up to the driver.
            max_restarts=0,
            max_task_retries=0,
        )
        self.job: Any | None = None
        self.ready = False
        self._actor = place(Worker).remote(list(imports), sys.path, cpus, gpus)
        self.news = self._actor.hear.remote()

    def give(self, job: Any, work: Any) -> None:
        """Hand over a job.

        Args:
            job: What to do.
            work: Reference to how it is done, see `objects.put`.
        """
        self.job = job
        self._actor.give.remote(cloudpickle.dumps(job), [work])

    def receive(self) -> tuple[str, Any]:
        """The message that has come; the next one is then awaited.

        Returns:
            What kind of message, and its content: see `Worker.hear`.

        Raises:
            EOFError: if its process or its node was lost, with the reason.
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
        """Answer its report."""
        self._actor.answer.remote(answer)

    def clean_up(self) -> Any:
        """Have it remove what it has written; a reference that is there when it has."""
        return self._actor.end.remote()

    def kill(self) -> None:
        """End it, wherever it is, if it still is."""
        import ray

        with contextlib.suppress(ray.exceptions.RayError):
            ray.kill(self._actor)


def stop(seats: Sequence[Seat]) -> None:
    """End workers, all at the same time."""
    import ray

    ending = [seat.clean_up() for seat in seats if seat.ready]
    try:
        if ending:
            ray.wait(ending, num_returns=len(ending), timeout=STOP_SECONDS)
    finally:
        for seat in seats:
            seat.kill()


def _reason(error: Exception) -> str:
    import ray

    if isinstance(error, ray.exceptions.ActorUnavailableError):
        return "its node does not answer"
    # What Ray says comes last, without a tab, and goes on about where to look.
    lines = [line for line in str(error).splitlines() if line and not line.startswith("\t")]
    reason = lines[-1].partition(". ")[0] if lines else type(error).__name__
    return f"its worker was lost ({reason})"

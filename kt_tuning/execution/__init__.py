"""Executors, which run trials in this process, in several others, or on a cluster."""

from kt_tuning.execution.executor import Driver, Executor, Report, Serial, Work, crash_hint
from kt_tuning.execution.processes import Processes
from kt_tuning.execution.ray_cluster import Ray
from kt_tuning.execution.ray_executor import RayExecutor
from kt_tuning.execution.worker_resources import automatic_workers

__all__ = [
    "Driver",
    "Executor",
    "Processes",
    "Ray",
    "RayExecutor",
    "Report",
    "Serial",
    "Work",
    "automatic_workers",
    "crash_hint",
]

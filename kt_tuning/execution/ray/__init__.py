"""Jobs on a Ray cluster. Ray itself is imported where it is used: it is an extra."""

from kt_tuning.execution.ray.executor import RayExecutor
from kt_tuning.execution.ray.options import Ray

__all__ = ["Ray", "RayExecutor"]

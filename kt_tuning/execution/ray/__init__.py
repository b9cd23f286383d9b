"""An executor on a Ray cluster. Ray is an extra and imported on first use."""

from kt_tuning.execution.ray.executor import RayExecutor
from kt_tuning.execution.ray.options import Ray

__all__ = ["Ray", "RayExecutor"]

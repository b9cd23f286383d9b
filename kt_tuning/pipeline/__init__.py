"""The whole job: its options, its tuner, and what is made of what it finds."""

from kt_tuning.pipeline.job import RunOutcome, finalize, run
from kt_tuning.pipeline.options import RunOptions

__all__ = ["RunOptions", "RunOutcome", "finalize", "run"]

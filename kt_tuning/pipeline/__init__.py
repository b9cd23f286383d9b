"""The whole job: its options, its tuner, search, final model and report."""

from kt_tuning.pipeline.job import RunOutcome, finalize, run
from kt_tuning.run_options import RunOptions

__all__ = ["RunOptions", "RunOutcome", "finalize", "run"]

"""The whole job: its options, its tuner, and what is made of what it finds."""

from kt_tuning.pipeline.job import PAGE, RunOutcome, finish, run
from kt_tuning.pipeline.make_tuner import tuner_of
from kt_tuning.run_options import RunOptions

__all__ = ["PAGE", "RunOptions", "RunOutcome", "finish", "run", "tuner_of"]

"""The whole job: its options, its tuner, and what is made of what it finds."""

from kt_tuning.pipeline.job import PAGE, RunOutcome, finish, run
from kt_tuning.pipeline.make_tuner import tuner_of
from kt_tuning.pipeline.options import DEFAULT_TRIALS, RunOptions

__all__ = ["DEFAULT_TRIALS", "PAGE", "RunOptions", "RunOutcome", "finish", "run", "tuner_of"]

"""One trial: build, train, evaluate every epoch, keep the best one."""

from kt_tuning.trials.building import build_model, new_model
from kt_tuning.trials.costs import COSTS
from kt_tuning.trials.keras_fast import fuse_batch_normalization
from kt_tuning.trials.keras_task import KerasTask
from kt_tuning.trials.label_encoding import check_soft_targets
from kt_tuning.trials.precision import member_of
from kt_tuning.trials.remote import RemoteExecutor
from kt_tuning.trials.spec import Decision, Progress, Report, TrialSpec, weights_file
from kt_tuning.trials.storage import open_storage
from kt_tuning.trials.tasks import ImageTask, Task
from kt_tuning.trials.trial import run_trial
from kt_tuning.trials.trial_files import TrialFiles
from kt_tuning.trials.unsafe_layers import ONCE
from kt_tuning.trials.weights import load_weights

__all__ = [
    "COSTS",
    "ONCE",
    "Decision",
    "ImageTask",
    "KerasTask",
    "Progress",
    "RemoteExecutor",
    "Report",
    "Task",
    "TrialFiles",
    "TrialSpec",
    "build_model",
    "check_soft_targets",
    "fuse_batch_normalization",
    "load_weights",
    "member_of",
    "new_model",
    "open_storage",
    "run_trial",
    "weights_file",
]

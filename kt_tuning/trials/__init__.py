"""One trial: build, train, evaluate every epoch, keep the best one."""

from kt_tuning.trials.building import (
    build_model,
    has_own_fit,
    layers_of,
    member_of,
    new_model,
    unwrapped,
)
from kt_tuning.trials.callbacks import SharedCallback, check_callbacks
from kt_tuning.trials.classifiers import check_soft_targets
from kt_tuning.trials.image_task import ImageTask
from kt_tuning.trials.keras_fast import fuse_batch_normalization
from kt_tuning.trials.keras_task import EPOCHS, KerasTask
from kt_tuning.trials.metrics import COSTS, best_epoch_of, metrics_of
from kt_tuning.trials.remote import RemoteExecutor, open_storage
from kt_tuning.trials.spec import (
    Decision,
    Progress,
    Report,
    TrialSpec,
    describe_failure,
    weights_file,
)
from kt_tuning.trials.task import Task
from kt_tuning.trials.trial import Training, run_trial
from kt_tuning.trials.trial_files import TrialFiles
from kt_tuning.trials.weights import load_stock_weights, load_weights, save_with_keras_parts

__all__ = [
    "COSTS",
    "EPOCHS",
    "Decision",
    "ImageTask",
    "KerasTask",
    "Progress",
    "RemoteExecutor",
    "Report",
    "SharedCallback",
    "Task",
    "Training",
    "TrialFiles",
    "TrialSpec",
    "best_epoch_of",
    "build_model",
    "check_callbacks",
    "check_soft_targets",
    "describe_failure",
    "fuse_batch_normalization",
    "has_own_fit",
    "layers_of",
    "load_stock_weights",
    "load_weights",
    "member_of",
    "metrics_of",
    "new_model",
    "open_storage",
    "run_trial",
    "save_with_keras_parts",
    "unwrapped",
    "weights_file",
]

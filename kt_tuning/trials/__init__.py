"""One trial, wherever it runs: build, train, measure every epoch, keep the best one."""

from kt_tuning.trials.tasks import ImageTask, KerasTask, Task
from kt_tuning.trials.trial import TrialSpec, build_model, run_trial
from kt_tuning.trials.weights import load_weights

__all__ = [
    "ImageTask",
    "KerasTask",
    "Task",
    "TrialSpec",
    "build_model",
    "load_weights",
    "run_trial",
]

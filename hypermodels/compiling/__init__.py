"""How a model is compiled and trained: optimizer, schedule, loss and weights, from a space."""

from hypermodels.compiling.fit_schedule import FitSchedule, PlateauSchedule, choose_schedule
from hypermodels.compiling.losses import (
    BrierScore,
    ClassificationLoss,
    CrossEntropy,
    FocalLoss,
    choose_loss,
)
from hypermodels.compiling.optimizers import around, choose_optimizer
from hypermodels.compiling.schedules import (
    CosineSchedule,
    ExponentialSchedule,
    OneCycleSchedule,
    StepSchedule,
    StretchedSchedule,
)
from hypermodels.compiling.weights import condition_weights

__all__ = [
    "BrierScore",
    "ClassificationLoss",
    "CosineSchedule",
    "CrossEntropy",
    "ExponentialSchedule",
    "FitSchedule",
    "FocalLoss",
    "OneCycleSchedule",
    "PlateauSchedule",
    "StepSchedule",
    "StretchedSchedule",
    "around",
    "choose_loss",
    "choose_optimizer",
    "choose_schedule",
    "condition_weights",
]

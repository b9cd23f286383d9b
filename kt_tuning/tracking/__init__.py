"""Trackers, which log a search to TensorBoard, CSV files, MLflow or Weights & Biases."""

from kt_tuning.tracking.csv import CsvTracker
from kt_tuning.tracking.mlflow import MlflowTracker
from kt_tuning.tracking.tensorboard import TensorBoardTracker
from kt_tuning.tracking.tracker import (
    Epoch,
    SearchOutcome,
    TrackedSearch,
    TrackedTrial,
    Tracker,
)
from kt_tuning.tracking.tracking import TRACKERS, Tracking, find_trackers
from kt_tuning.tracking.wandb import WandbTracker

__all__ = [
    "TRACKERS",
    "CsvTracker",
    "Epoch",
    "MlflowTracker",
    "SearchOutcome",
    "TensorBoardTracker",
    "TrackedSearch",
    "TrackedTrial",
    "Tracker",
    "Tracking",
    "WandbTracker",
    "find_trackers",
]

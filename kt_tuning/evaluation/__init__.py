"""How good a model is: metrics, intervals, latency, FLOPs."""

from kt_tuning.evaluation.bootstrap import bootstrap_intervals
from kt_tuning.evaluation.complexity import count_flops
from kt_tuning.evaluation.evaluate import confusion_matrix, evaluate
from kt_tuning.evaluation.latency import measure_latency
from kt_tuning.evaluation.metrics import (
    DEFAULT_METRICS,
    EPSILON,
    METRICS,
    Metric,
    check_labels,
    score,
)
from kt_tuning.evaluation.predict import Split, predict_split
from kt_tuning.evaluation.scores import Interval, Scores

__all__ = [
    "DEFAULT_METRICS",
    "EPSILON",
    "METRICS",
    "Interval",
    "Metric",
    "Scores",
    "Split",
    "bootstrap_intervals",
    "check_labels",
    "confusion_matrix",
    "count_flops",
    "evaluate",
    "measure_latency",
    "predict_split",
    "score",
]

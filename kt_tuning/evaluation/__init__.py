"""Metrics with intervals, selection bias, cost, robustness and explanations of a model."""

from kt_tuning.evaluation.corruptions import CORRUPTIONS, corrupt
from kt_tuning.evaluation.cost import measure_cost, measure_latency, measure_throughput
from kt_tuning.evaluation.diagnostics import (
    class_curves,
    confusion_matrix,
    measure_reliability,
    worst_mistakes,
)
from kt_tuning.evaluation.evaluate import PARTS, Parts, evaluate
from kt_tuning.evaluation.explanations import grad_cam, make_gallery, occlusion_map
from kt_tuning.evaluation.flops import measure_complexity
from kt_tuning.evaluation.forecast import forecast_best, forecast_of_run
from kt_tuning.evaluation.generalization import bias_variance, generalization
from kt_tuning.evaluation.importances import hyperparameter_importances
from kt_tuning.evaluation.intervals import Interval, bootstrap_intervals
from kt_tuning.evaluation.metrics import METRICS, metric_of, metrics_for, score
from kt_tuning.evaluation.predict import predict_split
from kt_tuning.evaluation.robustness import adversarial_accuracy, attack, robustness
from kt_tuning.evaluation.scores import Scores
from kt_tuning.evaluation.selection_bias import corrected_best, corrected_best_of_run
from kt_tuning.evaluation.test_uses import held_out_uses

__all__ = [
    "CORRUPTIONS",
    "METRICS",
    "PARTS",
    "Interval",
    "Parts",
    "Scores",
    "adversarial_accuracy",
    "attack",
    "bias_variance",
    "bootstrap_intervals",
    "class_curves",
    "confusion_matrix",
    "corrected_best",
    "corrected_best_of_run",
    "corrupt",
    "evaluate",
    "forecast_best",
    "forecast_of_run",
    "generalization",
    "grad_cam",
    "held_out_uses",
    "hyperparameter_importances",
    "make_gallery",
    "measure_complexity",
    "measure_cost",
    "measure_latency",
    "measure_reliability",
    "measure_throughput",
    "metric_of",
    "metrics_for",
    "occlusion_map",
    "predict_split",
    "robustness",
    "score",
    "worst_mistakes",
]

"""Metrics with intervals, selection bias, cost, robustness and explanations of a model."""

from kt_tuning.evaluation.adversarial import adversarial_accuracy, attack
from kt_tuning.evaluation.bootstrap import bootstrap_intervals
from kt_tuning.evaluation.corruptions import CORRUPTIONS, corrupt
from kt_tuning.evaluation.cost import (
    Cost,
    Throughput,
    measure_cost,
    measure_latency,
    measure_throughput,
    stored_bytes,
    training_speed,
)
from kt_tuning.evaluation.diagnostics import (
    ClassCurves,
    Reliability,
    class_curves,
    confusion_matrix,
    measure_reliability,
    worst_mistakes,
)
from kt_tuning.evaluation.evaluate import evaluate
from kt_tuning.evaluation.explanations import grad_cam, occlusion_map
from kt_tuning.evaluation.flops import count_flops, measure_complexity
from kt_tuning.evaluation.forecast import Forecast, forecast_best, forecast_of_run
from kt_tuning.evaluation.gallery import Gallery, Picture, make_gallery
from kt_tuning.evaluation.generalization import (
    Decomposition,
    Generalization,
    bias_variance,
    generalization,
)
from kt_tuning.evaluation.importances import hyperparameter_importances
from kt_tuning.evaluation.intervals import Interval
from kt_tuning.evaluation.metrics import METRICS, metric_of, metrics_for, score
from kt_tuning.evaluation.optional_parts import PARTS, Parts
from kt_tuning.evaluation.predict import Predicted, predict_split
from kt_tuning.evaluation.robustness import Robustness, robustness
from kt_tuning.evaluation.scores import Scores
from kt_tuning.evaluation.selection_bias import (
    EPOCH_CAVEAT,
    CorrectedBest,
    corrected_best,
    corrected_best_of_run,
)
from kt_tuning.evaluation.test_uses import HeldOutUse, HeldOutUses, held_out_uses, model_digest

__all__ = [
    "CORRUPTIONS",
    "EPOCH_CAVEAT",
    "METRICS",
    "PARTS",
    "ClassCurves",
    "CorrectedBest",
    "Cost",
    "Decomposition",
    "Forecast",
    "Gallery",
    "Generalization",
    "HeldOutUse",
    "HeldOutUses",
    "Interval",
    "Parts",
    "Picture",
    "Predicted",
    "Reliability",
    "Robustness",
    "Scores",
    "Throughput",
    "adversarial_accuracy",
    "attack",
    "bias_variance",
    "bootstrap_intervals",
    "class_curves",
    "confusion_matrix",
    "corrected_best",
    "corrected_best_of_run",
    "corrupt",
    "count_flops",
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
    "model_digest",
    "occlusion_map",
    "predict_split",
    "robustness",
    "score",
    "stored_bytes",
    "training_speed",
    "worst_mistakes",
]

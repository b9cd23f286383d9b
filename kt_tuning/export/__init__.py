"""A trained model out: in several formats, each checked against the model; and made smaller."""

from kt_tuning.export.exporting import Exported, export_model, export_saved_model
from kt_tuning.export.folder import LABELS_FILE, PROVENANCE_FILE, next_version
from kt_tuning.export.foreseeing import export_obstacle
from kt_tuning.export.formats import FORMATS, Format, format_named
from kt_tuning.export.measurement import (
    MEASUREMENT_FILE,
    MEASUREMENT_HEADER,
    Measurement,
    accuracy_note,
    measurement_rows,
    measurements,
)
from kt_tuning.export.parity import Parity
from kt_tuning.export.pruning import Pruned, prune
from kt_tuning.export.served import Prediction, Served, load_served
from kt_tuning.export.source import Predict, graph_of, predict_all

__all__ = [
    "FORMATS",
    "LABELS_FILE",
    "MEASUREMENT_FILE",
    "MEASUREMENT_HEADER",
    "PROVENANCE_FILE",
    "Exported",
    "Format",
    "Measurement",
    "Parity",
    "Predict",
    "Prediction",
    "Pruned",
    "Served",
    "accuracy_note",
    "export_model",
    "export_obstacle",
    "export_saved_model",
    "format_named",
    "graph_of",
    "load_served",
    "measurement_rows",
    "measurements",
    "next_version",
    "predict_all",
    "prune",
]

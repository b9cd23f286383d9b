"""Export of a trained model in several formats, each checked against the model, and pruning."""

from kt_tuning.export.export_folder import (
    LABELS_FILE,
    PROVENANCE_FILE,
    new_export,
    next_version,
    versions,
)
from kt_tuning.export.export_model import Exported, export_model
from kt_tuning.export.export_source import graph_of
from kt_tuning.export.formats import FORMATS, Format, format_named
from kt_tuning.export.layer_overrides import export_obstacle
from kt_tuning.export.measurement import (
    MEASUREMENT_FILE,
    MEASUREMENT_HEADER,
    Measurement,
    NumericalCheck,
    accuracy_note,
    measurement_rows,
    measurements,
)
from kt_tuning.export.pruning import Pruned, prune
from kt_tuning.export.saved_model import LoadedModel, load_saved_model

__all__ = [
    "FORMATS",
    "LABELS_FILE",
    "MEASUREMENT_FILE",
    "MEASUREMENT_HEADER",
    "PROVENANCE_FILE",
    "Exported",
    "Format",
    "LoadedModel",
    "Measurement",
    "NumericalCheck",
    "Pruned",
    "accuracy_note",
    "export_model",
    "export_obstacle",
    "format_named",
    "graph_of",
    "load_saved_model",
    "measurement_rows",
    "measurements",
    "new_export",
    "next_version",
    "prune",
    "versions",
]

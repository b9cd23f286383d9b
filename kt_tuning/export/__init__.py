"""Export of a trained model in several formats, each checked against the model, and pruning."""

from kt_tuning.export.export_model import Exported, export_model
from kt_tuning.export.formats import FORMATS, Format, format_named
from kt_tuning.export.layer_overrides import export_obstacle
from kt_tuning.export.measurement import Measurement, NumericalCheck, accuracy_note, measurements
from kt_tuning.export.pruning import Pruned, prune
from kt_tuning.export.saved_model import LoadedModel, load_saved_model

__all__ = [
    "FORMATS",
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
    "load_saved_model",
    "measurements",
    "prune",
]

"""The winner of a run as models that run elsewhere: checked, measured, described."""

from kt_tuning.export import Measurement, measurements
from kt_tuning.shipping.exporting import EXAMPLES, IMAGES, Pruning, export_run
from kt_tuning.shipping.fine_tuning import fine_tuning
from kt_tuning.shipping.measuring import format_table, measure_export
from kt_tuning.shipping.model_card import write_model_card
from kt_tuning.shipping.run_records import RunRecords

__all__ = [
    "EXAMPLES",
    "IMAGES",
    "Measurement",
    "Pruning",
    "RunRecords",
    "export_run",
    "fine_tuning",
    "format_table",
    "measure_export",
    "measurements",
    "write_model_card",
]

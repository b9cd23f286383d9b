"""After a search: evaluate, refit, distill, bag, boost, snapshots, export, model card."""

from kt_tuning.finalize.bag import bag
from kt_tuning.finalize.boost import Boosted, boost
from kt_tuning.finalize.combine_members import combine
from kt_tuning.finalize.configuration import Configuration
from kt_tuning.finalize.distill import distill
from kt_tuning.finalize.distillation_loss import distillation_loss
from kt_tuning.finalize.evaluate import evaluate_run
from kt_tuning.finalize.export import EXAMPLES, IMAGES, Pruning, export_run
from kt_tuning.finalize.export_measurement import format_table, measure_export
from kt_tuning.finalize.final_model import has_final_model, load_final_model, save_final_model
from kt_tuning.finalize.fine_tuning import fine_tuning
from kt_tuning.finalize.model_card import write_model_card
from kt_tuning.finalize.run_data import ARRAYS, load_run_data
from kt_tuning.finalize.run_records import RunRecords
from kt_tuning.finalize.snapshots import snapshots

__all__ = [
    "ARRAYS",
    "EXAMPLES",
    "IMAGES",
    "Boosted",
    "Configuration",
    "Pruning",
    "RunRecords",
    "bag",
    "boost",
    "combine",
    "distill",
    "distillation_loss",
    "evaluate_run",
    "export_run",
    "fine_tuning",
    "format_table",
    "has_final_model",
    "load_final_model",
    "load_run_data",
    "measure_export",
    "save_final_model",
    "snapshots",
    "write_model_card",
]

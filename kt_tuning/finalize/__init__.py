"""After a search: evaluate, refit, distill, bag, boost, snapshots, export, model card."""

from kt_tuning.finalize.bag_boost_snapshots import Boosted, bag, boost, snapshots
from kt_tuning.finalize.configuration import Configuration
from kt_tuning.finalize.distill import distill, distillation_loss
from kt_tuning.finalize.evaluate import (
    ARRAYS,
    evaluate_run,
    has_final_model,
    load_final_model,
    load_run_data,
    save_final_model,
)
from kt_tuning.finalize.export import (
    EXAMPLES,
    IMAGES,
    Pruning,
    export_run,
    fine_tuning,
    format_table,
    measure_export,
)
from kt_tuning.finalize.model_card import RunRecords, write_model_card
from kt_tuning.finalize.retrain import combine

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

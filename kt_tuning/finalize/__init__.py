"""After a search: evaluate, refit, distill, bag, boost, snapshots, export, model card."""

from kt_tuning.finalize.configuration import Configuration, combine
from kt_tuning.finalize.distill import distill
from kt_tuning.finalize.evaluate import (
    evaluate_run,
    has_final_model,
    load_final_model,
    load_run_data,
    save_final_model,
)
from kt_tuning.finalize.export import Pruning, export_run
from kt_tuning.finalize.model_card import write_model_card
from kt_tuning.finalize.repeated_training import Boosted, bag, boost, snapshots

__all__ = [
    "Boosted",
    "Configuration",
    "Pruning",
    "bag",
    "boost",
    "combine",
    "distill",
    "evaluate_run",
    "export_run",
    "has_final_model",
    "load_final_model",
    "load_run_data",
    "save_final_model",
    "snapshots",
    "write_model_card",
]

"""Hyperparameter tuning for Keras image models: search, augment, ensemble, evaluate, serve.

Names are imported when they are first used, so that `kt-tuning --help` and reading images wait
for neither Keras nor TensorFlow.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kt_tuning.augment import Policy
    from kt_tuning.data import ImageData, load_images
    from kt_tuning.ensembling import Ensemble
    from kt_tuning.errors import KtTuningError
    from kt_tuning.evaluation import Scores, evaluate
    from kt_tuning.execution import Ray
    from kt_tuning.export import export_model
    from kt_tuning.finalize.refit import RefitOptions
    from kt_tuning.recipe import Recipe
    from kt_tuning.recorded_tuner import open_run
    from kt_tuning.report import write_report
    from kt_tuning.trials import fuse_batch_normalization
    from kt_tuning.tuner import Tuner

_HOMES = {
    "Ensemble": "kt_tuning.ensembling",
    "ImageData": "kt_tuning.data",
    "KtTuningError": "kt_tuning.errors",
    "Policy": "kt_tuning.augment",
    "Ray": "kt_tuning.execution",
    "Recipe": "kt_tuning.recipe",
    "RefitOptions": "kt_tuning.finalize.refit",
    "Scores": "kt_tuning.evaluation",
    "Tuner": "kt_tuning.tuner",
    "evaluate": "kt_tuning.evaluation",
    "export_model": "kt_tuning.export",
    "fuse_batch_normalization": "kt_tuning.trials",
    "load_images": "kt_tuning.data",
    "open_run": "kt_tuning.recorded_tuner",
    "write_report": "kt_tuning.report",
}

__all__ = [
    "Ensemble",
    "ImageData",
    "KtTuningError",
    "Policy",
    "Ray",
    "Recipe",
    "RefitOptions",
    "Scores",
    "Tuner",
    "evaluate",
    "export_model",
    "fuse_batch_normalization",
    "load_images",
    "open_run",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return version("kt-tuning")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(_HOMES[name]), name)
    # Looked up once: the next use does not come here.
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """Public names, whether they have been imported yet or not."""
    return sorted({*(name for name in globals() if name.startswith("__")), *__all__, "__version__"})

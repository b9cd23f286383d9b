"""Hyperparameter tuning for Keras image models: search, ensembles, evaluation, export.

`import kt_tuning as kt` can replace `import keras_tuner as kt`: every public name of KerasTuner is
available. Names are imported when they are first used, so that `kt-tuning --help` and reading
images do not have to import Keras and TensorFlow.
"""

import sys
from importlib import abc, import_module
from importlib.machinery import ModuleSpec
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from kt_tuning.core.onednn import enable_onednn

if TYPE_CHECKING:
    from keras_tuner import (
        HyperModel,
        Objective,
        Oracle,
        SklearnTuner,
        applications,
        engine,
        errors,
        oracles,
        synchronized,
    )

    from kt_tuning import tuners
    from kt_tuning.augment import Policy
    from kt_tuning.core.errors import KtTuningError
    from kt_tuning.data import ImageData, load_images
    from kt_tuning.ensembling import Ensemble
    from kt_tuning.evaluation import Scores, evaluate
    from kt_tuning.execution import Ray
    from kt_tuning.export import export_model
    from kt_tuning.finalize.refit_plan import RefitOptions
    from kt_tuning.recipe import Recipe
    from kt_tuning.recorded_tuner import open_run
    from kt_tuning.report import write_report
    from kt_tuning.search.recipe_hypermodel import HyperParameters
    from kt_tuning.trials import fuse_batch_normalization
    from kt_tuning.tuner import Tuner
    from kt_tuning.tuners import BayesianOptimization, GridSearch, Hyperband, RandomSearch

_HOMES = {
    "BayesianOptimization": "kt_tuning.tuners",
    "Ensemble": "kt_tuning.ensembling",
    "GridSearch": "kt_tuning.tuners",
    "HyperModel": "keras_tuner",
    "HyperParameters": "kt_tuning.search.recipe_hypermodel",
    "Hyperband": "kt_tuning.tuners",
    "ImageData": "kt_tuning.data",
    "KtTuningError": "kt_tuning.core.errors",
    "Objective": "keras_tuner",
    "Oracle": "keras_tuner",
    "Policy": "kt_tuning.augment",
    "RandomSearch": "kt_tuning.tuners",
    "Ray": "kt_tuning.execution",
    "Recipe": "kt_tuning.recipe",
    "RefitOptions": "kt_tuning.finalize.refit_plan",
    "Scores": "kt_tuning.evaluation",
    "SklearnTuner": "keras_tuner",
    "Tuner": "kt_tuning.tuner",
    "applications": "keras_tuner",
    "engine": "keras_tuner",
    "errors": "keras_tuner",
    "evaluate": "kt_tuning.evaluation",
    "export_model": "kt_tuning.export",
    "fuse_batch_normalization": "kt_tuning.trials",
    "load_images": "kt_tuning.data",
    "oracles": "keras_tuner",
    "synchronized": "keras_tuner",
    "tuners": "kt_tuning",
    "open_run": "kt_tuning.recorded_tuner",
    "write_report": "kt_tuning.report",
}

__all__ = [
    "BayesianOptimization",
    "Ensemble",
    "GridSearch",
    "HyperModel",
    "HyperParameters",
    "Hyperband",
    "ImageData",
    "KtTuningError",
    "Objective",
    "Oracle",
    "Policy",
    "RandomSearch",
    "Ray",
    "Recipe",
    "RefitOptions",
    "Scores",
    "SklearnTuner",
    "Tuner",
    "applications",
    "engine",
    "errors",
    "evaluate",
    "export_model",
    "fuse_batch_normalization",
    "load_images",
    "open_run",
    "oracles",
    "synchronized",
    "tuners",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return version("kt-tuning")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _HOMES[name]
    if home == __name__:
        return import_module(f"{home}.{name}")
    found = getattr(import_module(home), name)
    # Looked up once: the next use does not come here.
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """Public names, whether they have been imported yet or not."""
    return sorted({*(name for name in globals() if name.startswith("__")), *__all__, "__version__"})


class _KerasTunerModules(abc.MetaPathFinder, abc.Loader):
    """Imports `kt_tuning.oracles`, `kt_tuning.engine.trial` and the like from KerasTuner."""

    _names = ("applications", "engine", "errors", "oracles")

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        package, _, rest = fullname.partition(".")
        known = package == __name__ and rest.partition(".")[0] in self._names
        return ModuleSpec(fullname, self) if known else None

    def exec_module(self, module: Any) -> None:
        """Put KerasTuner's module in the place of the new one."""
        rest = module.__name__.partition(".")[2]
        sys.modules[module.__name__] = import_module(f"keras_tuner.{rest}")


# Before the finder of files, which would load KerasTuner's files a second time.
sys.meta_path.insert(0, _KerasTunerModules())
# Before TensorFlow is imported.
enable_onednn()

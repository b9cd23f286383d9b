"""Imports tqdm before Optuna does, which in a notebook without ipywidgets would print a warning."""

import importlib
import warnings

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "IProgress not found")
    importlib.import_module("tqdm.auto")

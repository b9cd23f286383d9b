"""The whole job, `run`, and its options as YAML, `config`."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any

from kt_tuning.cli import run_options as option
from kt_tuning.cli.backbones import usable_backbone
from kt_tuning.cli.config import as_asked, as_yaml, read_mapping
from kt_tuning.cli.finalize import print_outcome
from kt_tuning.cli.image_size import chooses_families, recorded_size, searches_backbone
from kt_tuning.cli.run_place import run_directory
from kt_tuning.cli.stopping import on_interrupt
from kt_tuning.core.errors import OptionError
from kt_tuning.core.quiet import import_tensorflow
from kt_tuning.run.layout import REPORT

logger = logging.getLogger("kt_tuning")

STARTED = time.monotonic()
"""When the command began, but for the start of Python."""


def run(
    folder: option.Folder,
    out: option.Out = None,
    time_limit: option.TimeLimit = None,
    max_trials: option.MaxTrials = None,
    epochs: option.Epochs = 30,
    trial_time_limit: option.TrialTimeLimit = None,
    max_stale_trials: option.MaxStaleTrials = None,
    max_parameters: option.MaxParameters = None,
    max_flops: option.MaxFlops = None,
    max_latency: option.MaxLatency = None,
    folds: option.Folds = None,
    executions: option.Executions = 1,
    hypermodel: option.Hypermodel = None,
    backbone: option.Backbone = None,
    fix: option.Fix = None,
    objective: option.Objective = None,
    strategy: option.Strategy = "auto",
    pruner: option.Pruner = None,
    batch_size: option.BatchSize = None,
    max_batch_size: option.MaxBatchSize = None,
    augment: option.Augment = None,
    mixup: option.Mixup = None,
    cutmix: option.Cutmix = None,
    balance: option.Balance = None,
    patience: option.Patience = None,
    normalize: option.Normalize = False,
    precision: option.Precision = "auto",
    workers: option.Workers = "auto",
    ensemble_size: option.EnsembleSize = 5,
    price: option.Price = 0.01,
    seed: option.Seed = 0,
    image_size: option.ImageSize = None,
    channels: option.Channels = None,
    limit: option.Limit = None,
    max_unreadable: option.MaxUnreadable = 0.05,
    class_names: option.Class = None,
    groups: option.Groups = None,
    images: option.Images = None,
    column: option.Column = None,
    max_missing: option.MaxMissing = 0.0,
    hyperparameters: option.Hyperparameters = None,
    storage: option.Storage = None,
    track: option.Track = None,
    config: option.Config = None,
    refit: option.Refit = None,
    overwrite: option.Overwrite = False,
    quiet: option.Quiet = False,
) -> None:
    """Search, combine, evaluate, export and report: the whole job."""
    given = dict(locals())
    from kt_tuning.core.units import seconds
    from kt_tuning.data import load_images
    from kt_tuning.data.npz_file import is_npz
    from kt_tuning.summaries import data_summary

    longest = seconds(time_limit, "--time-limit")
    seconds(trial_time_limit, "--trial-time-limit")
    out = run_directory(folder, out, images)
    narrowed = {} if hyperparameters is None else read_mapping(hyperparameters)
    if backbone is not None:
        # Before the images are read, which may take long.
        backbone = given["backbone"] = usable_backbone(
            backbone, required=not chooses_families(hypermodel)
        )
    goes_on = image_size is None and not overwrite and not is_npz(folder)
    columns = dict(_named(text, "--column", "file=image_id") for text in column or []) or None
    data = load_images(
        folder,
        image_size=recorded_size(out) if goes_on else image_size,
        channels=channels,
        seed=seed,
        max_unreadable=max_unreadable,
        class_names=class_names,
        groups=groups,
        images=images,
        columns=columns,
        max_missing=max_missing,
        time_limit=longest,
        backbone=searches_backbone(hypermodel, backbone),
        progress=not quiet,
    )
    if limit is not None:
        data = data.limit(limit, seed=seed)
    for line in data_summary(data):
        logger.info(line)
    logger.info("Starting TensorFlow.")
    import_tensorflow()
    from kt_tuning.pipeline import RunOptions
    from kt_tuning.pipeline import run as run_pipeline

    read = {
        "fixed": dict(_assignment(text) for text in fix or []),
        "workers": int(workers) if workers.isdecimal() else workers,
        "hyperparameters": narrowed,
        "verbose": not quiet,
    }
    options = RunOptions(**{**_options(given, dataclasses.fields(RunOptions)), **read})
    with on_interrupt(f"; to use the trials so far: kt-tuning finalize {out}"):
        outcome = run_pipeline(
            data, out, options, files=as_asked(run, given, out, options), began=STARTED
        )
    if outcome is None:
        print(f"Another process has finished this search: {out / REPORT}")
        return
    print_outcome(outcome)


def config() -> None:
    """Print every option of `run` as YAML, for `run --config`."""
    print(as_yaml(run), end="")


def _options(given: Mapping[str, Any], fields: Iterable[dataclasses.Field[Any]]) -> dict[str, Any]:
    """The options that are passed on as they are; those that were not given have their default."""
    return {
        name: tuple(value) if isinstance(value, list) else value
        for field in fields
        if (value := given.get(name := field.name)) is not None
    }


def _assignment(text: str) -> tuple[str, Any]:
    """Split NAME=VALUE; a value that is no Python literal is text."""
    name, value = _named(text, "--fix", "filters=32")
    if not all(part.isidentifier() for part in name.split("/")):
        raise OptionError(f"--fix takes NAME=VALUE, such as filters=32. Received: {text!r}")
    with contextlib.suppress(ValueError, SyntaxError):
        return name, ast.literal_eval(value)
    return name, value


def _named(text: str, option: str, example: str) -> tuple[str, str]:
    """Split NAME=VALUE."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise OptionError(f"{option} takes NAME=VALUE, such as {example}. Received: {text!r}")
    return name, value

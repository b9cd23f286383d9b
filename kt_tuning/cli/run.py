"""The whole job: `run`, and `demo` on images that come along."""

from __future__ import annotations

import ast
import contextlib
from pathlib import Path
from typing import Annotated, Any

import typer

from kt_tuning.cli.config import as_asked, as_yaml, read_config, read_mapping
from kt_tuning.cli.quiet_tensorflow import quiet_tensorflow
from kt_tuning.errors import OptionError

SEARCH, LIMITS, DATA = "Search", "Limits", "Data"


def run(
    folder: Annotated[
        Path,
        typer.Argument(help="One sub-folder a class, or train/, val/ and test/ holding those."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Run directory; started again, it resumes.", show_default="runs/<folder>"
        ),
    ] = None,
    time_limit: Annotated[
        str | None,
        typer.Option(help="Wall-clock of all trials: 90s, 10m, 1h30m.", rich_help_panel=SEARCH),
    ] = None,
    max_trials: Annotated[
        int | None,
        typer.Option(
            help="Trials, at most.",
            show_default="20 without a time limit",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    epochs: Annotated[
        int, typer.Option(help="Epochs of a full training.", rich_help_panel=SEARCH)
    ] = 30,
    trial_time_limit: Annotated[
        str | None,
        typer.Option(help="Wall-clock of one trial.", rich_help_panel=LIMITS),
    ] = None,
    max_stale_trials: Annotated[
        int | None,
        typer.Option(
            help="End when so many trials in a row found nothing better.", rich_help_panel=LIMITS
        ),
    ] = None,
    max_parameters: Annotated[
        int | None,
        typer.Option(help="Scalars in a model's weights, at most.", rich_help_panel=LIMITS),
    ] = None,
    max_flops: Annotated[
        int | None,
        typer.Option(
            help="Floating-point operations for one image, at most.", rich_help_panel=LIMITS
        ),
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(
            help="Cross-validate each configuration on so many folds.", rich_help_panel=SEARCH
        ),
    ] = None,
    executions: Annotated[
        int,
        typer.Option(help="Trainings of each configuration, averaged.", rich_help_panel=SEARCH),
    ] = 1,
    hypermodel: Annotated[
        list[str] | None,
        typer.Option(
            help="Family of models, see `kt-tuning hypermodels`; several are searched together.",
            show_default="convnet",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    fix: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=VALUE of a hyperparameter that is not searched; may be repeated. With "
            "several families, FAMILY/NAME=VALUE is for one of them.",
            show_default="all are searched",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    objective: Annotated[
        list[str] | None,
        typer.Option(
            help="val_accuracy, val_loss, val_f1, val_roc_auc, …; repeated, also parameters, "
            "flops, latency.",
            show_default="val_accuracy",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    strategy: Annotated[
        str,
        typer.Option(
            help="auto, random, grid, qmc, tpe, gp (or bayesian), cmaes, genetic, evolution, "
            "hyperband, asha, bohb.",
            rich_help_panel=SEARCH,
        ),
    ] = "auto",
    pruner: Annotated[
        str | None,
        typer.Option(
            help="none, median, percentile, patient, asha, hyperband, wilcoxon.",
            show_default="what goes with the strategy",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    batch_size: Annotated[
        list[int] | None,
        typer.Option(help="Several are searched.", show_default="64", rich_help_panel=SEARCH),
    ] = None,
    max_batch_size: Annotated[
        list[int] | None,
        typer.Option(
            help="Double the batches, up to so many images, whenever the training loss stalls; "
            "several are searched.",
            show_default="batches do not grow",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    augment: Annotated[
        str,
        typer.Option(
            help="none, light, standard, strong, text, randaugment, trivial, augmix; or search.",
            rich_help_panel=SEARCH,
        ),
    ] = "light",
    mixup: Annotated[
        list[float] | None,
        typer.Option(
            help="α of MixUp; several are searched.", show_default="0", rich_help_panel=SEARCH
        ),
    ] = None,
    cutmix: Annotated[
        list[float] | None,
        typer.Option(
            help="α of CutMix; several are searched.", show_default="0", rich_help_panel=SEARCH
        ),
    ] = None,
    balance: Annotated[
        list[str] | None,
        typer.Option(
            help="How rare classes count as much as frequent ones: none, weights (of the loss), "
            "sampling; several are searched.",
            show_default="none",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(help="Stop a trial after so many epochs in vain.", rich_help_panel=SEARCH),
    ] = None,
    precision: Annotated[
        str,
        typer.Option(
            help="What training computes with: float32, mixed_bfloat16, mixed_float16; auto is the "
            "fastest that the device has.",
            rich_help_panel=SEARCH,
        ),
    ] = "float32",
    workers: Annotated[
        str,
        typer.Option(
            help="Trials at the same time; auto is one a GPU, or a processor. ray, or "
            "ray://host:port: on a Ray cluster, as many as it has room for.",
            rich_help_panel=SEARCH,
        ),
    ] = "auto",
    ensemble_size: Annotated[
        int, typer.Option(help="Best trials that may join the ensemble.", rich_help_panel=SEARCH)
    ] = 5,
    seed: Annotated[int, typer.Option(help="Of everything random.", rich_help_panel=SEARCH)] = 0,
    image_size: Annotated[
        int | None,
        typer.Option(help="Side in pixels.", show_default="from the images", rich_help_panel=DATA),
    ] = None,
    channels: Annotated[
        int | None,
        typer.Option(help="1 or 3.", show_default="from the images", rich_help_panel=DATA),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(help="Train and validate on this many images.", rich_help_panel=DATA),
    ] = None,
    max_unreadable: Annotated[
        float, typer.Option(help="Share of files that may be unreadable.", rich_help_panel=DATA)
    ] = 0.05,
    hyperparameters: Annotated[
        Path | None,
        typer.Option(
            help="YAML file that fixes or narrows hyperparameters: NAME: VALUE, NAME: [VALUE, …] "
            "or NAME: {min: …, max: …, step: …, sampling: …}.",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    track: Annotated[
        list[str] | None,
        typer.Option(
            help="Also log the search to tensorboard, csv, mlflow or wandb; may be repeated.",
            show_default="nowhere",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="YAML file of these options: what `kt-tuning config` prints, or config.yaml of a "
            "run directory. What is said here besides counts more.",
            is_eager=True,
            callback=read_config,
        ),
    ] = None,
    refit: Annotated[
        bool,
        typer.Option(
            "--refit",
            help="At the end train the winner again, on training and validation images: see "
            "`kt-tuning refit`.",
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Delete an earlier search in the run directory.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No live view.")] = False,
) -> None:
    """Search, combine, evaluate, export and report: the whole job."""
    given = dict(locals())
    from kt_tuning.data import load_images
    from kt_tuning.units import seconds

    seconds(time_limit, "--time-limit")
    seconds(trial_time_limit, "--trial-time-limit")
    narrowed = {} if hyperparameters is None else read_mapping(hyperparameters)
    data = load_images(
        folder,
        image_size=image_size,
        channels=channels,
        seed=seed,
        max_unreadable=max_unreadable,
        progress=not quiet,
    )
    if limit is not None:
        data = data.limit(limit, seed=seed)
    out = Path("runs") / folder.resolve().name if out is None else out
    quiet_tensorflow()
    from kt_tuning.pipeline import RunOptions
    from kt_tuning.pipeline import run as run_pipeline

    options = RunOptions(
        hypermodel=tuple(hypermodel or ("convnet",)),
        fixed=dict(_assignment(text) for text in fix or []),
        objective=tuple(objective or ("val_accuracy",)),
        strategy=strategy,
        pruner=pruner,
        epochs=epochs,
        time_limit=time_limit,
        max_trials=max_trials,
        trial_time_limit=trial_time_limit,
        max_stale_trials=max_stale_trials,
        max_parameters=max_parameters,
        max_flops=max_flops,
        folds=folds,
        executions=executions,
        batch_size=tuple(batch_size or (64,)),
        max_batch_size=tuple(max_batch_size) if max_batch_size else None,
        augment=augment,
        mixup=tuple(mixup or (0.0,)),
        cutmix=tuple(cutmix or (0.0,)),
        balance=tuple(balance or ("none",)),
        patience=patience,
        precision=precision,
        workers=int(workers) if workers.isdecimal() else workers,
        ensemble_size=ensemble_size,
        seed=seed,
        overwrite=overwrite,
        verbose=not quiet,
        hyperparameters=narrowed,
        track=tuple(track or ()),
        refit=refit,
    )
    outcome = run_pipeline(data, out, options, files=as_asked(run, given, out, options))
    print(outcome.scores)
    if outcome.correction is not None:
        print(f"best validation score  {outcome.correction}")
    print(f"model   {outcome.export}")
    if outcome.refit is not None:
        print(f"refit   {outcome.refit}")
    print(f"report  {outcome.report}")


def config() -> None:
    """Print every option of `run` as YAML, for `run --config`."""
    print(as_yaml(run), end="")


def demo(
    out: Annotated[Path, typer.Option(help="Where images and results go.")] = Path("demo"),
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No live view.")] = False,
) -> None:
    """Run the main job on scikit-learn's handwritten digits, in a few minutes."""
    from kt_tuning.demo import write_digits

    images = write_digits(out / "digits")
    run(
        images,
        out=out / "run",
        # Digits of 8×8 pixels need no large network; what is left is quick and rarely bad.
        fix=["blocks=1", "filters=32", "kernel_size=3", "norm=batch", "optimizer=sgd"],
        time_limit="100s",
        max_trials=5,
        epochs=40,
        batch_size=[32],
        augment="text",
        workers="1",
        quiet=quiet,
    )


def _assignment(text: str) -> tuple[str, Any]:
    """Split NAME=VALUE; a value that is no Python literal is text."""
    name, equals, value = text.partition("=")
    if not equals or not all(part.isidentifier() for part in name.split("/")):
        raise OptionError(f"--fix takes NAME=VALUE, such as filters=32. Received: {text!r}")
    with contextlib.suppress(ValueError, SyntaxError):
        return name, ast.literal_eval(value)
    return name, value

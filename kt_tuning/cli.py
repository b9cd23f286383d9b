"""The command line: one verb a stage.

Keras and TensorFlow are imported by the verbs that need them, so that `--help` answers at once.
"""

from __future__ import annotations

import ast
import contextlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from kt_tuning.errors import KtTuningError, OptionError

app = typer.Typer(
    name="kt-tuning",
    help="Hyperparameter tuning for Keras image models: from a folder of images to a served, "
    "honestly scored ensemble.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

SEARCH, LIMITS, DATA = "Search", "Limits", "Data"


@app.command()
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
        str, typer.Option(help="Family of models.", rich_help_panel=SEARCH)
    ] = "convnet",
    fix: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=VALUE of a hyperparameter that is not searched; may be repeated.",
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
            help="random, grid, qmc, tpe, gp (or bayesian), cmaes, genetic, evolution, hyperband, "
            "asha, bohb.",
            rich_help_panel=SEARCH,
        ),
    ] = "random",
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
    augment: Annotated[
        str,
        typer.Option(help="none, light, standard, strong, text, search.", rich_help_panel=SEARCH),
    ] = "light",
    patience: Annotated[
        int | None,
        typer.Option(help="Stop a trial after so many epochs in vain.", rich_help_panel=SEARCH),
    ] = None,
    workers: Annotated[
        str,
        typer.Option(help="Trials at the same time, or auto.", rich_help_panel=SEARCH),
    ] = "1",
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
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Delete an earlier search in the run directory.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No live view.")] = False,
) -> None:
    """Search, combine, evaluate, export and report: the whole job."""
    from kt_tuning.data import load_images
    from kt_tuning.units import seconds

    seconds(time_limit, "--time-limit")
    seconds(trial_time_limit, "--trial-time-limit")
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
    _quiet_tensorflow()
    from kt_tuning.pipeline import RunOptions
    from kt_tuning.pipeline import run as run_pipeline

    outcome = run_pipeline(
        data,
        out,
        RunOptions(
            hypermodel=hypermodel,
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
            augment=augment,
            patience=patience,
            workers=int(workers) if workers.isdecimal() else workers,
            ensemble_size=ensemble_size,
            seed=seed,
            overwrite=overwrite,
            verbose=not quiet,
        ),
    )
    print(outcome.scores)
    print(f"model   {outcome.export}")
    print(f"report  {outcome.report}")


@app.command()
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
        fix=["blocks=1", "filters=32", "kernel_size=3", "batch_norm=True", "optimizer=sgd"],
        time_limit="100s",
        max_trials=5,
        epochs=40,
        batch_size=[32],
        augment="text",
        quiet=quiet,
    )


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(help="A SavedModel, e.g. runs/photos/export/1.")],
    images: Annotated[list[Path], typer.Argument(help="Image files.")],
) -> None:
    """Classify image files with an exported SavedModel, which is all that this needs."""
    _quiet_tensorflow()
    from kt_tuning.export import load_served

    for prediction in load_served(model).predict_files(images):
        print(f"{prediction.path}\t{prediction.label}\t{prediction.probability:.4f}")


@app.command()
def report(
    run_directory: Annotated[Path, typer.Argument(help="The --out of a run.")],
) -> None:
    """Write report.html anew from what is in a run directory, during a search, too."""
    from kt_tuning.report import write_report

    print(write_report(run_directory))


def _assignment(text: str) -> tuple[str, Any]:
    """Split NAME=VALUE; a value that is no Python literal is text."""
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise OptionError(f"--fix takes NAME=VALUE, such as filters=32. Received: {text!r}")
    with contextlib.suppress(ValueError, SyntaxError):
        return name, ast.literal_eval(value)
    return name, value


def main() -> None:
    """Entry point: errors that we raise on purpose are one message, never a traceback."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("kt_tuning").setLevel(logging.INFO)
    try:
        app()
    except KtTuningError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("Interrupted. Run the same command again to go on.", file=sys.stderr)
        sys.exit(130)


def _quiet_tensorflow() -> None:
    """Import TensorFlow without the lines that its C++ side writes before logging is set up."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _held_stderr():
        import tensorflow as tf

        tf.config.list_physical_devices()


@contextlib.contextmanager
def _held_stderr() -> Iterator[None]:
    """Hold back what is written to file descriptor 2; show it if the block raises."""
    sys.stderr.flush()
    real = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(real, held.read())
            raise
        finally:
            os.dup2(real, 2)
            os.close(real)


if __name__ == "__main__":
    main()

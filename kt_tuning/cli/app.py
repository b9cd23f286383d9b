"""The entry point, and the table of verbs."""

from __future__ import annotations

import logging
import sys

import typer

from kt_tuning.cli.demo import demo
from kt_tuning.cli.evaluate import evaluate
from kt_tuning.cli.export import export
from kt_tuning.cli.finish import finish
from kt_tuning.cli.refit import devices, refit
from kt_tuning.cli.retrain import bag, boost, distill, snapshots
from kt_tuning.cli.run import config, run
from kt_tuning.cli.stopping import stoppable
from kt_tuning.cli.verbs import hypermodels, predict, preview, report
from kt_tuning.errors import KtTuningError

VERBS = (
    *(run, finish, config, demo, hypermodels, preview),
    *(evaluate, refit, distill, bag, boost, snapshots, export, predict, report, devices),
)

app = typer.Typer(
    name="kt-tuning",
    help="Hyperparameter tuning for Keras image models: from a folder of images to a served, "
    "honestly scored ensemble.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for verb in VERBS:
    app.command()(stoppable(verb))


def main() -> None:
    """Entry point: errors that we raise on purpose are one message, never a traceback."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("kt_tuning").setLevel(logging.INFO)
    try:
        app()
    except KtTuningError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)

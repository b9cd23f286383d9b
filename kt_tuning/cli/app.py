"""The entry point of the command line, and the table of its commands."""

from __future__ import annotations

import logging
import os
import sys
from importlib.metadata import version
from typing import Annotated, TextIO

import typer

from kt_tuning.cli.catalogue import devices, fetch, hypermodels, list_backbones, preview
from kt_tuning.cli.finalize import evaluate, export, finalize, report
from kt_tuning.cli.predict import predict
from kt_tuning.cli.retrain import bag, boost, distill, refit, snapshots
from kt_tuning.cli.run import config, demo, run
from kt_tuning.cli.stopping import stoppable
from kt_tuning.core.errors import KtTuningError
from kt_tuning.core.names import printable

VERBS = (
    *(run, finalize, config, demo, hypermodels, preview),
    *(evaluate, refit, distill, bag, boost, snapshots, export, predict, report, devices),
)

app = typer.Typer(
    name="kt-tuning",
    help="Hyperparameter tuning for Keras image models: from a folder of images to an evaluated "
    "ensemble that can be served.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for verb in VERBS:
    app.command()(stoppable(verb))
backbones = typer.Typer()
backbones.callback(invoke_without_command=True)(stoppable(list_backbones))
backbones.command()(stoppable(fetch))
app.add_typer(backbones, name="backbones")


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to the present `sys.stderr`: while a progress bar is drawn, it puts lines above it."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr


class _Formatter(logging.Formatter):
    """Formats records for a terminal, which must not execute escape sequences of file names."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"kt-tuning {version('kt-tuning')}")
        raise typer.Exit


@app.callback()
def _top_level(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; errors of this package are printed as one message, not a traceback."""
    _open_streams()
    # Lines in a file have the time, as nobody sees when they appear.
    style = "%(message)s" if sys.stderr.isatty() else "%(asctime)s %(message)s"
    handler = _StandardError()
    handler.setFormatter(_Formatter(style, "%H:%M:%S"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("kt_tuning").setLevel(logging.INFO)
    try:
        app()
    except KtTuningError as error:
        print(printable(f"error: {error}"), file=sys.stderr)
        sys.exit(2)


def _open_streams() -> None:
    """Open the standard streams that the caller has closed, as by `2>&-`, on the null device.

    The next file that is opened, such as that of a study, would get their number, and messages of
    native code would be written into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # It gets the lowest free number, this one.
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8"))

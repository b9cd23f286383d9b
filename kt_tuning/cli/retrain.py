"""`distill`, `bag`, `boost` and `snapshots`: the best configuration of a run, trained again."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kt_tuning.cli.options import ImagesNow, Overwrite, Quiet, RunFolder
from kt_tuning.cli.quiet_tensorflow import quiet_tensorflow

if TYPE_CHECKING:
    from kt_tuning.finalize.retrain import Train

Epochs = Annotated[
    int | None,
    typer.Option(
        help="Of a training, or of all cycles together.",
        show_default="those of a full trial",
    ),
]


def distill(
    run_directory: RunFolder,
    temperature: Annotated[
        float, typer.Option(help="Of the teacher's answers: the higher, the softer they are.")
    ] = 2.0,
    soft_weight: Annotated[
        float, typer.Option(help="Share of the loss that the teacher's answers have, 0 to 1.")
    ] = 0.9,
    epochs: Epochs = None,
    data: ImagesNow = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Train one model to answer as the ensemble of a run does, at the cost of one.

    The student has the best trial's configuration and goes to distill/ in the run directory, which
    evaluate, export and report take like one. It gains from more epochs than a trial has. Started
    again, it goes on after its last finished epoch.
    """
    quiet_tensorflow()
    from kt_tuning.ensembling import trained_on_validation
    from kt_tuning.finalize import distill as train
    from kt_tuning.finalize.evaluate import load_winner

    way = functools.partial(
        train,
        load_winner(run_directory),
        temperature=temperature,
        soft_weight=soft_weight,
        teacher_seen=trained_on_validation(run_directory),
        overwrite=overwrite,
        verbose=not quiet,
    )
    _retrain(run_directory, "distill", way, epochs, data, quiet)


def bag(
    run_directory: RunFolder,
    members: Annotated[int, typer.Option(help="How many are trained.")] = 5,
    bootstrap: Annotated[
        bool,
        typer.Option(
            help="Each on a sample of the images; without, each on all of them: a deep ensemble."
        ),
    ] = True,
    epochs: Epochs = None,
    data: ImagesNow = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Train the best configuration of a run several times, and combine what comes of it.

    The ensemble goes to bag/ in the run directory, which evaluate, export and report take like one.
    Started again, it goes on where it stopped; with more members it adds some.
    """
    quiet_tensorflow()
    from kt_tuning.finalize import bag as train

    way = functools.partial(
        train, members=members, bootstrap=bootstrap, overwrite=overwrite, verbose=not quiet
    )
    _retrain(run_directory, "bag", way, epochs, data, quiet)


def boost(
    run_directory: RunFolder,
    rounds: Annotated[int, typer.Option(help="Members, at most.")] = 5,
    epochs: Epochs = None,
    data: ImagesNow = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Train the best configuration of a run again and again on what it gets wrong (SAMME).

    The ensemble goes to boost/ in the run directory, which evaluate, export and report take like
    one. It is for small models: one that learns its training images by heart leaves nothing to
    boost. Started again, it goes on where it stopped; with more rounds it adds some.
    """
    quiet_tensorflow()
    from kt_tuning.finalize import boost as train

    way = functools.partial(train, rounds=rounds, overwrite=overwrite, verbose=not quiet)
    _retrain(run_directory, "boost", way, epochs, data, quiet)


def snapshots(
    run_directory: RunFolder,
    cycles: Annotated[int, typer.Option(help="Of the learning rate, each with a member.")] = 5,
    epochs: Epochs = None,
    data: ImagesNow = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Train the best configuration of a run once, in cycles, and combine a snapshot of each.

    The ensemble goes to snapshots/ in the run directory, which evaluate, export and report take
    like one. Started again, it goes on where it stopped.
    """
    quiet_tensorflow()
    from kt_tuning.finalize import snapshots as train

    way = functools.partial(train, cycles=cycles, overwrite=overwrite, verbose=not quiet)
    _retrain(run_directory, "snapshots", way, epochs, data, quiet)


def _retrain(
    run_directory: Path, name: str, train: Train, epochs: int | None, data: Path | None, quiet: bool
) -> None:
    from kt_tuning.finalize.evaluate import load_data
    from kt_tuning.finalize.retrain import retrain

    images = load_data(run_directory, data, progress=not quiet)
    print(retrain(run_directory, name, train, images, epochs=epochs))

"""`distill`, `bag`, `boost` and `snapshots`: training of a run's best configuration."""

from __future__ import annotations

from typing import Annotated

import typer

from kt_tuning.cli.options import ImagesNow, Overwrite, Quiet, RunFolder
from kt_tuning.core.quiet import import_tensorflow

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

    The student has the configuration of the best trial that is no linear probe, or of a ConvNet
    if all are. It goes to distill/ in the run directory, which evaluate, export and report take
    like one. It gains from more epochs than a trial has. Started again, it continues after its last
    finished epoch.
    """
    import_tensorflow()
    from kt_tuning.recorded_tuner import open_run

    tuner = open_run(run_directory)
    print(
        tuner.distill(
            temperature=temperature,
            soft_weight=soft_weight,
            epochs=epochs,
            data=data,
            overwrite=overwrite,
            verbose=not quiet,
        )
    )


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
    """Train the best configuration of a run several times, and combine the models.

    The ensemble goes to bag/ in the run directory, which evaluate, export and report take like one.
    Started again, it continues; with more members it adds some.
    """
    import_tensorflow()
    from kt_tuning.recorded_tuner import open_run

    tuner = open_run(run_directory)
    print(
        tuner.bag(
            members,
            bootstrap=bootstrap,
            epochs=epochs,
            data=data,
            overwrite=overwrite,
            verbose=not quiet,
        )
    )


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
    boost. Started again, it continues; with more rounds it adds some.
    """
    import_tensorflow()
    from kt_tuning.recorded_tuner import open_run

    tuner = open_run(run_directory)
    print(tuner.boost(rounds, epochs=epochs, data=data, overwrite=overwrite, verbose=not quiet))


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
    like one. Started again, it continues.
    """
    import_tensorflow()
    from kt_tuning.recorded_tuner import open_run

    tuner = open_run(run_directory)
    print(tuner.snapshots(cycles, epochs=epochs, data=data, overwrite=overwrite, verbose=not quiet))

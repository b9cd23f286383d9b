"""`evaluate`: measurement of a run's final model on the test images."""

from __future__ import annotations

from typing import Annotated

import typer

from kt_tuning.cli.options import ImagesNow, Quiet, RunFolder
from kt_tuning.core.quiet import import_tensorflow


def evaluate(
    run_directory: RunFolder,
    part: Annotated[
        list[str] | None,
        typer.Option(
            help="generalization, cost, corruptions, attacks; or none: the scores alone. May be "
            "repeated. What was measured of the same model before is kept.",
            show_default="all four",
        ),
    ] = None,
    data: ImagesNow = None,
    images: Annotated[
        str | None,
        typer.Option(
            help="Test images for corruptions and attacks, and images of each earlier split for "
            "generalization: a number or all. They are chosen at random, each class by its share.",
            show_default="as many as take about a minute a part, at least 50",
        ),
    ] = None,
    bootstrap: Annotated[int, typer.Option(help="Resamples behind an interval.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    quiet: Quiet = False,
) -> None:
    """Measure the final model of a run on its test images, and write the report again.

    Scores with intervals, the gap from training to test images, arithmetic, latency and throughput,
    and robustness: 15 corruptions at 5 severities, FGSM and PGD. Parts that would take more than a
    minute are measured on some of the images, and say on how many. The use of the test split is
    noted; a search that continues after that says so in its report.
    """
    from kt_tuning.evaluation import PARTS, Parts, corrected_best_of_run

    names = tuple(PARTS) if not part else tuple(name for name in part if name != "none")
    parts = Parts(names, images=images, progress=not quiet)
    import_tensorflow()
    from kt_tuning.finalize import evaluate_run, load_final_model, load_run_data
    from kt_tuning.report import write_report

    images_of_run = load_run_data(run_directory, data, progress=not quiet)
    model = load_final_model(run_directory)
    scores = evaluate_run(
        model, images_of_run, run_directory, parts=parts, bootstrap=bootstrap, seed=seed
    )
    print(scores)
    for table in (scores.generalization, scores.robustness):
        if table is not None:
            print(f"\n{table}")
    if (correction := corrected_best_of_run(run_directory)) is not None:
        print(f"\nbest validation score  {correction}")
    print(f"report  {write_report(run_directory)}")

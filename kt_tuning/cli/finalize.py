"""`finish`: what a run has found so far, made into a model and a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kt_tuning.cli.options import ImagesNow, Quiet, RunFolder
from kt_tuning.cli.quiet_tensorflow import quiet_tensorflow

if TYPE_CHECKING:
    from kt_tuning.pipeline import RunOutcome


def finish(run_directory: RunFolder, data: ImagesNow = None, quiet: Quiet = False) -> None:
    """Combine, evaluate, export and report what there is of a run, without searching further.

    For a run that was interrupted. Finished and paused trials count. The same `run` command goes on
    with the search afterwards; that the test images were used meanwhile is noted.
    """
    quiet_tensorflow()
    from kt_tuning.pipeline import finish as finish_run

    print_outcome(finish_run(run_directory, data, verbose=not quiet))


def print_outcome(outcome: RunOutcome) -> None:
    """Print the scores of a run and where things are."""
    print(outcome.scores)
    if outcome.correction is not None:
        print(f"best validation score  {outcome.correction}")
    print(f"model   {outcome.export}")
    print(f"report  {outcome.report}\n\n{outcome}")
    if outcome.warning is not None:
        print(f"\nWarning: {outcome.warning}")

"""Where a run goes: never among the images that it is run on."""

from __future__ import annotations

import logging
from pathlib import Path

from kt_tuning.core.errors import OptionError
from kt_tuning.data.label_table import is_table
from kt_tuning.data.npz_file import is_npz
from kt_tuning.run.layout import is_run_directory

RUNS = "runs"


def run_directory(source: Path, out: Path | None, images: Path | None = None) -> Path:
    """Return the run directory: `out`, or by default `runs/<name of the source>`.

    By default it is beside the images where the current directory is among them. A run that is
    among them already, made before this was so, may go on there: it is never taken for a class.

    Args:
        source: The folder of images, a table, or an `.npz` file.
        out: What was asked for.
        images: The folder of a table's images; None for that of the table.

    Raises:
        OptionError: if `out` is among the images and no run.
    """
    folder, name = source.resolve(), source.resolve().name
    if is_table(source):
        folder, name = (images or source.parent).resolve(), source.stem
    elif is_npz(source):
        name = source.stem
    chosen = Path(RUNS) / name if out is None else out
    place = chosen.resolve()
    inside = place == folder or folder in place.parents
    if not inside or is_run_directory(place):
        return chosen
    beside = folder.parent / RUNS / name
    if out is not None:
        raise OptionError(
            f"--out {out} is inside the folder of images, {folder}, where it would lie among the "
            f"classes. Choose a place outside, such as --out {beside}."
        )
    logging.getLogger("kt_tuning").warning(
        "The run directory is %s: the current directory is inside the folder of images.", beside
    )
    return beside

"""The run directory of a command, which is never inside the folder of images."""

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

    If the current directory is inside the folder of images, the default is beside that folder. A
    run that is inside already may be resumed there: it is never read as a class.

    Args:
        source: The folder of images, a table, or an `.npz` file.
        out: The requested run directory, or None.
        images: The folder of a table's images; None for that of the table.

    Raises:
        OptionError: if `out` is inside the folder of images and not a run.
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
            f"--out {out} is inside the folder of images, {folder}, where it would look like a "
            f"class. Choose a directory outside, such as --out {beside}."
        )
    logging.getLogger("kt_tuning").warning(
        "The run directory is %s: the current directory is inside the folder of images.", beside
    )
    return beside

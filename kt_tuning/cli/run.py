"""The commands `run`, `demo`, and `config`, which prints the options of `run` as YAML."""

from __future__ import annotations

import ast
import contextlib
import functools
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from kt_tuning.cli import options as option
from kt_tuning.cli.catalogue import usable_backbone
from kt_tuning.cli.config import as_asked, as_yaml, read_mapping
from kt_tuning.cli.finalize import print_outcome
from kt_tuning.cli.stopping import on_interrupt
from kt_tuning.core.errors import OptionError
from kt_tuning.core.quiet import import_tensorflow
from kt_tuning.data.load_data import is_npz, is_table
from kt_tuning.run import Run
from kt_tuning.run.layout import REPORT, check_length, is_run_directory
from kt_tuning.run_options import RunOptions

logger = logging.getLogger("kt_tuning")

STARTED = time.monotonic()
"""Time at which the command started, after the start of Python."""
RUNS, AUTO = "runs", "auto"
BACKBONE_FAMILIES = ("linearprobe", "finetune")
"""Families of `hypermodels.HYPERMODELS` with a pre-trained network."""


@option.with_run_options
def run(
    folder: option.Folder,
    out: option.Out = None,
    image_size: option.ImageSize = None,
    channels: option.Channels = None,
    limit: option.Limit = None,
    max_unreadable: option.MaxUnreadable = 0.05,
    class_names: option.Class = None,
    groups: option.Groups = None,
    images: option.Images = None,
    column: option.Column = None,
    max_missing: option.MaxMissing = 0.0,
    config: option.Config = None,
    quiet: option.Quiet = False,
    **given: Any,
) -> None:
    """Search models, combine the best ones, evaluate and export them, and write a report.

    An interrupted run continues if the same command is given again.
    """
    asked = {**locals(), **given}
    from kt_tuning.core.units import seconds
    from kt_tuning.data import load_images
    from kt_tuning.summaries import data_summary

    longest = seconds(given["time_limit"], "--time-limit")
    seconds(given["trial_time_limit"], "--trial-time-limit")
    out = run_directory(folder, out, images)
    if given["hyperparameters"] is not None:
        given["hyperparameters"] = read_mapping(given["hyperparameters"])
    if given["backbone"] is not None:
        # Before the images are read, which may take long.
        given["backbone"] = usable_backbone(
            given["backbone"], required=not _chooses_families(given["hypermodel"])
        )
    resumes = image_size is None and not given["overwrite"] and not is_npz(folder)
    columns = dict(_named(text, "--column", "file=image_id") for text in column or []) or None
    data = load_images(
        folder,
        image_size=recorded_size(out) if resumes else image_size,
        channels=channels,
        seed=given["seed"],
        max_unreadable=max_unreadable,
        class_names=class_names,
        groups=groups,
        images=images,
        columns=columns,
        max_missing=max_missing,
        time_limit=longest,
        backbone=searches_backbone(given["hypermodel"], given["backbone"]),
        progress=not quiet,
    )
    if limit is not None:
        data = data.limit(limit, seed=given["seed"])
    for line in data_summary(data):
        logger.info(line)
    logger.info("Starting TensorFlow.")
    import_tensorflow()
    from kt_tuning.pipeline import run as run_pipeline

    given["fixed"] = dict(_assignment(text) for text in given.pop("fix") or [])
    if given["workers"].isdecimal():
        given["workers"] = int(given["workers"])
    options = RunOptions(**_chosen(given), verbose=not quiet)
    with on_interrupt(functools.partial(_way_on, out)):
        outcome = run_pipeline(
            data, out, options, files=as_asked(run, asked, out, options), began=STARTED
        )
    if outcome is None:
        print(f"Another process has finished this search: {out / REPORT}")
        return
    print_outcome(outcome)


def _way_on(out: Path) -> str:
    """Return how to use the trials of an interrupted run, if there are any with a score."""
    if any(trial.usable for trial in Run(out).trials()):
        return f"; to use the trials so far: kt-tuning finalize {out}"
    return "."


def config() -> None:
    """Print all options of `run` with their defaults as YAML, for `run --config`."""
    print(as_yaml(run), end="")


def run_directory(source: Path, out: Path | None, images: Path | None = None) -> Path:
    """Return the run directory: `out`, or by default `runs/<name of the source>`.

    If the current directory is inside the folder of images, the default is beside that folder. A
    run directory inside the folder may be resumed: it is never read as a class.

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
    check_length(chosen)
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
    logger.warning(
        "The run directory is %s: the current directory is inside the folder of images.", beside
    )
    return beside


def recorded_size(out: Path) -> tuple[int, int] | None:
    """Return (height, width) of a run's images, which a resumed run keeps; None if it is new."""
    card = Run(out).data_card()
    return None if card is None else (card.pixels.height, card.pixels.width)


def searches_backbone(families: Sequence[str] | None, backbone: str | None) -> bool:
    """Return whether one of the families has a pre-trained network, in any spelling."""
    if _chooses_families(families):
        import_tensorflow()
        from hypermodels.backbones import at_hand

        return backbone is not None or bool(at_hand())
    return not _spelled(families).isdisjoint(BACKBONE_FAMILIES)


def _chooses_families(families: Sequence[str] | None) -> bool:
    return AUTO in _spelled(families)


def _spelled(families: Sequence[str] | None) -> set[str]:
    return {family.casefold().replace("_", "").replace("-", "") for family in families or (AUTO,)}


def _chosen(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the given options; the others have the defaults of `RunOptions`."""
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in given.items()
        if value is not None
    }


def _assignment(text: str) -> tuple[str, Any]:
    """Split NAME=VALUE; a value that is not a Python literal is text."""
    name, value = _named(text, "--fix", "filters=32")
    if not all(part.isidentifier() for part in name.split("/")):
        raise OptionError(f"--fix takes NAME=VALUE, such as filters=32. Received: {text!r}")
    with contextlib.suppress(ValueError, SyntaxError):
        return name, ast.literal_eval(value)
    return name, value


def _named(text: str, option: str, example: str) -> tuple[str, str]:
    """Split NAME=VALUE."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise OptionError(f"{option} takes NAME=VALUE, such as {example}. Received: {text!r}")
    return name, value


def demo(
    out: Annotated[Path, typer.Option(help="Folder for images and results.")] = Path("demo"),
    quiet: option.Quiet = False,
) -> None:
    """Search, evaluate and export models for scikit-learn's handwritten digits, in two minutes."""
    images = write_digits(out / "digits")
    run(
        images,
        out=out / "run",
        hypermodel=["convnet"],
        # Digits of 8×8 pixels need no large network; the remaining configurations train quickly.
        fix=["blocks=1", "filters=32", "kernel_size=3", "norm=batch", "optimizer=sgd"],
        time_limit="100s",
        max_trials=5,
        epochs=40,
        batch_size=[32],
        augment="text",
        workers="1",
        quiet=quiet,
    )


def write_digits(folder: Path) -> Path:
    """Write the 1,797 digits as 8×8 grey PNG files, one sub-folder per class; return `folder`.

    Source: E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, 1998.
    """
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    for number, (pixels, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        path = folder / str(label) / f"{number:04d}.png"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            # The digits are counts from 0 to 16.
            Image.fromarray((pixels * (255 / 16)).round().astype("uint8")).save(path)
    return folder

"""The smaller verbs: looking at what there is, and using what was made."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from kt_tuning.cli.run_options import Class
from kt_tuning.core.errors import OptionError
from kt_tuning.core.names import find_name
from kt_tuning.core.quiet import import_tensorflow


def report(
    run_directory: Annotated[Path, typer.Argument(help="The --out of a run.")],
    open_: Annotated[bool, typer.Option("--open", help="Open it in a browser.")] = False,
) -> None:
    """Write report.html anew from what is in a run directory, during a search, too."""
    from kt_tuning.report import Report, write_report

    page = Report(write_report(run_directory))
    print(page.path)
    if open_ and not page.open():
        print("There is no browser here: open that file in one.", file=sys.stderr)


def hypermodels(
    family: Annotated[
        list[str] | None, typer.Argument(help="Families to describe.", show_default="all")
    ] = None,
    image_size: Annotated[int, typer.Option(help="Side of the images, in pixels.")] = 32,
    channels: Annotated[int, typer.Option(help="1 or 3.")] = 3,
    classes: Annotated[int, typer.Option(help="Number of classes.")] = 10,
    wide: Annotated[
        bool, typer.Option("--wide", help="Also what is searched in a wide space only.")
    ] = False,
) -> None:
    """List the families of models: what is searched, and how large they are."""
    import_tensorflow()
    from rich.console import Console
    from rich.table import Table

    from hypermodels import HYPERMODELS
    from hypermodels.catalogue import describe

    console = Console()
    for name in [find_name(one, HYPERMODELS, "hypermodel") for one in family or HYPERMODELS]:
        try:
            described = describe(
                name,
                (image_size, image_size, channels),
                classes,
                space="wide" if wide else "default",
            )
        except ValueError as error:
            raise OptionError(str(error)) from error
        sizes = [described.smallest, described.default, described.largest]
        smallest, default, largest = (f"{size:,}" for size in sizes)
        title = f"{name}: {described.summary}"
        table = Table("hyperparameter", "values", "default", "if", title=title)
        table.title_justify, table.columns[0].no_wrap = "left", True
        table.caption = f"{default} parameters by default; {smallest} to {largest} in a sample"
        for row in described.rows:
            table.add_row(row.name, row.values, str(row.default), row.condition)
        console.print(table)


def preview(
    folder: Annotated[Path, typer.Argument(help="Images, as for `run`.")],
    augment: Annotated[str, typer.Option(help="Name of a policy.")] = "standard",
    out: Annotated[Path, typer.Option(help="The picture.")] = Path("preview.png"),
    images: Annotated[int, typer.Option(help="Rows: images of the training split.")] = 6,
    draws: Annotated[int, typer.Option(help="Columns: augmented copies of each.")] = 8,
    image_size: Annotated[
        int | None, typer.Option(help="Side in pixels.", show_default="from the images")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the images and the draws.")] = 0,
    class_names: Class = None,
) -> None:
    """Draw what an augmentation policy does to your images."""
    import numpy as np

    from kt_tuning.augment import Policy
    from kt_tuning.augment import preview as draw
    from kt_tuning.data import load_images

    policy = Policy.named(augment)
    train = load_images(folder, image_size=image_size, class_names=class_names, seed=seed).train
    count = min(max(images, 1), len(train))
    chosen = np.random.default_rng(seed).choice(len(train), count, replace=False)
    draw(policy, train.take(chosen), draws=draws, seed=seed).save(out)
    print(out)

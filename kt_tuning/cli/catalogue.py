"""The commands `hypermodels`, `backbones`, `preview` and `devices`."""

from __future__ import annotations

import dataclasses
import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kt_tuning.cli.options import TPU, Class
from kt_tuning.core.errors import OptionError
from kt_tuning.core.names import find_name
from kt_tuning.core.quiet import import_tensorflow

if TYPE_CHECKING:
    from hypermodels.backbones import BackboneRow

logger = logging.getLogger("kt_tuning")

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".tiff", ".bmp")
"""Endings of files that `preview` writes."""


def list_backbones(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON with all details.")] = False,
) -> None:
    """List the pre-trained networks, cheapest first. Available ones are used by default.

    To use another one, name it with `run --backbone NAME`, or download it with `backbones fetch`.
    """
    if context.invoked_subcommand is not None:
        return
    import_tensorflow()
    from hypermodels.backbones import catalogue

    rows = catalogue()
    if as_json:
        print(json.dumps([dataclasses.asdict(row) for row in rows], indent=2))
        return
    _print_table(rows)


def fetch(
    name: Annotated[
        str,
        typer.Argument(
            help="Name in `kt-tuning backbones`, or hf://… or kaggle://… for a KerasHub preset."
        ),
    ],
) -> None:
    """Download the weights of a pre-trained network, which is then used by default."""
    import_tensorflow()
    from hypermodels.backbone import BackboneError

    try:
        usable_backbone(name, required=True)
    except OptionError as error:
        if not isinstance(error.__cause__, BackboneError):
            raise
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    print(f"{name} is available.")


def usable_backbone(name: str, *, required: bool) -> str | None:
    """Return a pre-trained network that can be used, downloaded if need be."""
    import_tensorflow()
    from hypermodels.backbones import find_backbone
    from hypermodels.named_backbone import IMAGENET

    try:
        backbone = find_backbone(name, IMAGENET, None)
    except ValueError as error:
        raise OptionError(str(error)) from error
    try:
        backbone.check()
    except ValueError as error:
        if required:
            raise OptionError(str(error)) from error
        logger.warning("%s. The search continues without it.", str(error).rstrip("."))
        return None
    return name


def _print_table(rows: list[BackboneRow]) -> None:
    """A table as wide as the terminal; as wide as it needs to be in a file or a pipe."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from hypermodels.backbone_files import backbone_folder

    console = Console() if sys.stdout.isatty() else Console(width=200)
    table = Table("name", box=None if not sys.stdout.isatty() else Table().box, pad_edge=False)
    for header in ("parameters", "MB", "multiply-adds", "ImageNet"):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("licence", no_wrap=True)
    table.add_column("status")
    table.columns[0].no_wrap = True
    for row in rows:
        table.add_row(
            row.name,
            "–" if row.parameters is None else f"{row.parameters / 1e6:.1f} M",
            "–" if row.size is None else f"{row.size / 1e6:.0f}",
            "–" if row.multiply_adds is None else f"{row.multiply_adds:,} M",
            "–" if row.accuracy is None else f"{row.accuracy:.1%}",
            row.licence or "not known",
            Text(row.status, style="green" if row.at_hand else ""),
        )
    console.print(table)
    console.print(
        "Parameters and multiply-adds without the classifier; multiply-adds and ImageNet's top-1 "
        "accuracy at the network's own image size.\n"
        f"Your own: NAME.keras in {backbone_folder()}, see `hypermodels.backbone_files`. Presets "
        "of KerasHub: --backbone hf://… or kaggle://…, with pip install 'kt-tuning[keras-hub]'.",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def hypermodels(
    family: Annotated[
        list[str] | None, typer.Argument(help="Families to list.", show_default="all")
    ] = None,
    image_size: Annotated[int, typer.Option(help="Side of the images in pixels.")] = 32,
    channels: Annotated[int, typer.Option(help="Channels of the images: 1 or 3.")] = 3,
    classes: Annotated[int, typer.Option(help="Number of classes.")] = 10,
    wide: Annotated[bool, typer.Option("--wide", help="List the wide search space.")] = False,
) -> None:
    """List the families of models with their hyperparameters and numbers of parameters."""
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
    out: Annotated[Path, typer.Option(help="Image file to write.")] = Path("preview.png"),
    images: Annotated[int, typer.Option(help="Number of training images, one per row.")] = 6,
    draws: Annotated[int, typer.Option(help="Number of augmented copies of each image.")] = 8,
    image_size: Annotated[
        int | None,
        typer.Option(help="Side of the images in pixels.", show_default="chosen by the images"),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of images and augmentation.")] = 0,
    class_names: Class = None,
) -> None:
    """Draw training images as an augmentation policy changes them."""
    import numpy as np

    from kt_tuning.augment import Policy
    from kt_tuning.augment import preview as draw
    from kt_tuning.data import load_images

    policy = Policy.named(augment)
    if out.suffix.lower() not in PICTURES or not out.parent.is_dir() or out.is_dir():
        raise OptionError(
            f"--out is a file in an existing folder that ends in {', '.join(PICTURES)}. "
            f"Received: {out}"
        )
    if folder.is_dir() and out.resolve().is_relative_to(folder.resolve()):
        raise OptionError(f"--out {out} is in the folder of the images. Name a place elsewhere.")
    train = load_images(folder, image_size=image_size, class_names=class_names, seed=seed).train
    count = min(max(images, 1), len(train))
    chosen = np.random.default_rng(seed).choice(len(train), count, replace=False)
    draw(policy, train.take(chosen), draws=draws, seed=seed).save(out)
    print(out)


def devices(tpu: TPU = None) -> None:
    """List the devices, and how trials and refits use them."""
    import_tensorflow()
    from kt_tuning.devices import describe, find_devices

    print(describe(find_devices(tpu)))

"""`demo`: the whole job on images that come along."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kt_tuning.cli.run import run


def demo(
    out: Annotated[Path, typer.Option(help="Where images and results go.")] = Path("demo"),
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No live view.")] = False,
) -> None:
    """Run the main job on scikit-learn's handwritten digits, in a few minutes."""
    from kt_tuning.demo import write_digits

    images = write_digits(out / "digits")
    run(
        images,
        out=out / "run",
        hypermodel=["convnet"],
        # Digits of 8×8 pixels need no large network; what is left is quick and rarely bad.
        fix=["blocks=1", "filters=32", "kernel_size=3", "norm=batch", "optimizer=sgd"],
        time_limit="100s",
        max_trials=5,
        epochs=40,
        batch_size=[32],
        augment="text",
        workers="1",
        quiet=quiet,
    )

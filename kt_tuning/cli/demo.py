"""`demo`: the whole job on scikit-learn's handwritten digits, which come with a dependency."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kt_tuning.cli.options import Quiet
from kt_tuning.cli.run import run


def demo(
    out: Annotated[Path, typer.Option(help="Where images and results go.")] = Path("demo"),
    quiet: Quiet = False,
) -> None:
    """Run the main job on scikit-learn's handwritten digits, in a few minutes."""
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


def write_digits(folder: Path) -> Path:
    """Write the 1,797 digits as 8×8 grey PNG files, one sub-folder a class; return `folder`.

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

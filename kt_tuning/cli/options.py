"""Options that several verbs have: what they are called and what they mean, once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RunFolder = Annotated[Path, typer.Argument(help="The --out of a run.")]
ImagesNow = Annotated[
    Path | None, typer.Option(help="Where the images are now.", show_default="where they were")
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Delete what is there, if it was made otherwise.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars.")]

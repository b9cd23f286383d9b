"""Command-line options of several commands: of a run directory, of the images, and of `run`."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kt_tuning.cli.config import read_config
from kt_tuning.core.quiet import import_tensorflow
from kt_tuning.run_options import DATA, RunOptions

if TYPE_CHECKING:
    from kt_tuning.tuner import Tuner


RunFolder = Annotated[Path, typer.Argument(help="Run directory, the --out of `run`.")]
ImagesNow = Annotated[
    Path | None,
    typer.Option(
        help="Folder, table or file of the images, if they have moved.",
        show_default="as in the search",
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite", help="Delete models in the folder that were trained with other options."
    ),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Show neither the live view nor progress bars.")
]
TPU = Annotated[
    str | None,
    typer.Option(
        help="Address of a TPU, or local on the machine of the TPU.",
        show_default="the value of TPU_NAME",
    ),
]


Folder = Annotated[
    Path,
    typer.Argument(
        help="Folder with one sub-folder per class, or with train/, val/ and test/ folders of such "
        "sub-folders; or a table (.csv, .tsv, .parquet) with a column of file names and one of "
        "labels; or an .npz file with the arrays x and y, or x_train, y_train, x_test, y_test."
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        help="Run directory. The same command again resumes the search.",
        show_default="runs/<name of the source>, outside the folder of images",
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        help="YAML file with these options, as `kt-tuning config` prints it or as config.yaml in a "
        "run directory. Options on the command line take precedence.",
        is_eager=True,
        callback=read_config,
    ),
]
ImageSize = Annotated[
    int | None,
    typer.Option(
        help="Side of the images in pixels.",
        show_default="chosen by the images and the time limit",
        rich_help_panel=DATA,
    ),
]
Channels = Annotated[
    int | None,
    typer.Option(
        help="Channels of the images: 1 (grey) or 3 (RGB).",
        show_default="1 if all images are grey, else 3",
        rich_help_panel=DATA,
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(
        help="Largest number of training and validation images together.",
        show_default="all",
        rich_help_panel=DATA,
    ),
]
MaxUnreadable = Annotated[
    float,
    typer.Option(
        help="Largest share of image files that may be unreadable, 0 to 1.", rich_help_panel=DATA
    ),
]
Images = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the image files that a table names.",
        show_default="the folder of the table",
        rich_help_panel=DATA,
    ),
]
Column = Annotated[
    list[str] | None,
    typer.Option(
        help="Column of a table: file=NAME, label=NAME, split=NAME or group=NAME; may be repeated.",
        show_default="found by their usual names",
        rich_help_panel=DATA,
    ),
]
MaxMissing = Annotated[
    float,
    typer.Option(
        help="Largest share of rows of a table, 0 to 1, that may be left out because their file is "
        "missing, their label is empty or occurs only once, or another row contradicts them.",
        rich_help_panel=DATA,
    ),
]
Class = Annotated[
    list[str] | None,
    typer.Option(
        "--class",
        help="Name of a sub-folder that is a class; repeat it for each class, in the order of the "
        "labels. Other sub-folders are left out.",
        show_default="all sub-folders",
        rich_help_panel=DATA,
    ),
]
Groups = Annotated[
    str | None,
    typer.Option(
        help="Images that stay in one part of the split: folder, for those in the same folder "
        "below a class folder; or a regular expression with one group in parentheses, which is "
        r"searched for in the paths, such as 'patient(\d+)'. Copies always stay together.",
        show_default="only copies stay together",
        rich_help_panel=DATA,
    ),
]


def open_tuner(run_directory: Path) -> Tuner:
    """Start TensorFlow and return the tuner of a run."""
    import_tensorflow()
    from kt_tuning.recorded_tuner import open_run

    return open_run(run_directory)


def with_run_options(verb: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for each row of `RunOptions`, in place of its `**given`."""
    parameters = list(inspect.signature(verb).parameters.values())[:-1]
    hints = typing.get_type_hints(verb, include_extras=True)
    own = [each.replace(annotation=hints[each.name]) for each in parameters]
    # `folder` and `out` come first in `config.yaml`.
    signature = inspect.Signature([*own[:2], *_rows(), *own[2:]])

    @functools.wraps(verb)
    def command(*args: Any, **kwargs: Any) -> None:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        verb(**bound.arguments)

    command.__signature__ = signature  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in signature.parameters.values()}
    return command


def _rows() -> list[inspect.Parameter]:
    hints = typing.get_type_hints(RunOptions)
    rows = []
    for field in dataclasses.fields(RunOptions):
        row = field.metadata
        flags = [row["flag"]] if "flag" in row else []
        if flags == [""]:
            continue
        kind = row.get("kind") or _shell_type(hints[field.name])
        shown, panel = row.get("shown", True), row["panel"]
        option = typer.Option(*flags, help=row["help"], show_default=shown, rich_help_panel=panel)
        default = row.get("shell_default", field.default)
        several = any(typing.get_origin(each) is list for each in typing.get_args(kind))
        if several or default is dataclasses.MISSING:
            default = None
        rows.append(
            inspect.Parameter(
                row.get("shell_name", field.name),
                inspect.Parameter.POSITIONAL_OR_KEYWORD,
                default=default,
                annotation=Annotated[kind, option],
            )
        )
    return rows


def _shell_type(hint: Any) -> Any:
    """Return the type of a command-line option for the type of a field."""
    choices = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    many = [each for each in choices if typing.get_origin(each) is tuple]
    if many:
        return types.GenericAlias(list, (typing.get_args(many[0])[0],)) | None
    if str in choices and {int, float} & set(choices):
        return str | None if types.NoneType in choices else str
    return hint

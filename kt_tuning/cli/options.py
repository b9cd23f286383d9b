"""The command-line options of several verbs: of a run directory, of the images, and of `run`."""

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


RunFolder = Annotated[Path, typer.Argument(help="The --out of a run.")]
ImagesNow = Annotated[
    Path | None,
    typer.Option(help="Where the images, or their table, are now.", show_default="where they were"),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Delete what is there, if it was made otherwise.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No live view, no progress bars.")]
TPU = Annotated[
    str | None,
    typer.Option(
        help="Address of a TPU, or local on its own machine.", show_default="what TPU_NAME says"
    ),
]


Folder = Annotated[
    Path,
    typer.Argument(
        help="One sub-folder a class, or train/, val/ and test/ holding those; or a table (.csv, "
        ".tsv, .parquet) with a column of file names and one of labels; or an .npz file with the "
        "arrays x and y, or x_train, y_train, x_test, y_test."
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        help="Run directory; the same command again resumes the search.",
        show_default="runs/<name of the source>, never among the images",
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        help="YAML file of these options: what `kt-tuning config` prints, or config.yaml of a "
        "run directory. Options on the command line take precedence.",
        is_eager=True,
        callback=read_config,
    ),
]
ImageSize = Annotated[
    int | None,
    typer.Option(
        help="Side in pixels.",
        show_default="from the images and the time limit",
        rich_help_panel=DATA,
    ),
]
Channels = Annotated[
    int | None, typer.Option(help="1 or 3.", show_default="from the images", rich_help_panel=DATA)
]
Limit = Annotated[
    int | None, typer.Option(help="Train and validate on this many images.", rich_help_panel=DATA)
]
MaxUnreadable = Annotated[
    float, typer.Option(help="Share of files that may be unreadable.", rich_help_panel=DATA)
]
Images = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the files that a table names.",
        show_default="that of the table",
        rich_help_panel=DATA,
    ),
]
Column = Annotated[
    list[str] | None,
    typer.Option(
        help="Column of a table, as file=NAME, label=NAME, split=NAME or group=NAME; repeated.",
        show_default="found by their usual names",
        rich_help_panel=DATA,
    ),
]
MaxMissing = Annotated[
    float,
    typer.Option(
        help="Share of a table's rows that may be left out: their file is missing, their label is "
        "empty or that of no other file, or another row contradicts it.",
        rich_help_panel=DATA,
    ),
]
Class = Annotated[
    list[str] | None,
    typer.Option(
        "--class",
        help="Sub-folder that is a class, whatever its name; repeated for each class, in the order "
        "of their labels. Others are left out.",
        show_default="all sub-folders",
        rich_help_panel=DATA,
    ),
]
Groups = Annotated[
    str | None,
    typer.Option(
        help="Images that stay on one side of the split: folder, for those of one folder below the "
        "class folders; or a regular expression with one group in parentheses that is looked for "
        r"in their paths, such as 'patient(\d+)'. Copies of an image always stay together.",
        show_default="copies only",
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

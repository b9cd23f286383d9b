"""The base class of the hypermodels, which map raw pixels to probabilities."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any, ClassVar, Self

import keras
import keras_tuner
import numpy as np
from keras import layers

from hypermodels.blocks import channel_axis
from hypermodels.compiling import (
    FitSchedule,
    around,
    choose_loss,
    choose_optimizer,
    condition_weights,
)
from hypermodels.space import Space

SPACES = ("default", "wide")


class ImageHyperModel(keras_tuner.HyperModel):
    """A family of image classifiers.

    The built model takes raw pixels, uint8 (N, height, width, channels), and contains a rescaling
    layer, so that training and serving cannot differ. It returns probabilities (N, classes).

    Every hyperparameter can be fixed by keyword: `ConvNet(shape, 10, residual=True,
    filters=(32, 64, 128))`. The others are searched, except for those that rarely help, since more
    dimensions make a search less efficient: these keep their defaults unless they are named in
    `per_stage` or `space="wide"` is given. `hypermodel.hyperparameters()` returns the search space.

    Args:
        input_shape: (height, width, channels) of the images.
        classes: Number of classes, at least 2.
        per_stage: Names of hyperparameters with a separate value for each stage; by default all
            stages share one value.
        space: "default", or "wide" to search all hyperparameters.
        normalization: Means and standard deviations of the channels, 0 to 255, by which the pixels
            are standardised inside the model, such as `data.pixel_statistics()` of a
            `kt_tuning.ImageData`; None rescales pixels to [-1, 1].
        name: Name of the model.
        **fixed: Values of hyperparameters that are not searched.

    Attributes:
        compiling_defaults: Defaults of this family for hyperparameters of optimizer, schedule, loss
            and weights (see `hypermodels.compiling`), by name.
        compiling_ranges: Ranges (low, high) of this family for such hyperparameters, by name.
        by_epochs: Whether `fit` trains for several epochs; otherwise it ends after one.
        asks_everything: Whether each build requests all hyperparameters, active or not, so that one
            build shows the whole space. A subclass that requests some only if others have certain
            values sets it to False, and is then built more often before a search.

    Raises:
        ValueError: if the shape, the number of classes, the space or the normalization is wrong.
    """

    compiling_defaults: ClassVar[Mapping[str, Any]] = {}
    compiling_ranges: ClassVar[Mapping[str, tuple[float, float]]] = {}
    asks_everything: ClassVar[bool] = True
    by_epochs: ClassVar[bool] = True

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        classes: int,
        *,
        per_stage: tuple[str, ...] = (),
        space: str = "default",
        normalization: Sequence[Sequence[float]] | None = None,
        name: str | None = None,
        **fixed: Any,
    ) -> None:
        super().__init__(name=name)
        input_shape = tuple(input_shape)  # type: ignore[assignment]
        if len(input_shape) != 3 or not all(isinstance(n, Integral) and n > 0 for n in input_shape):
            raise ValueError(
                "`input_shape` is (height, width, channels), three positive integers. "
                f"Received: input_shape={input_shape}"
            )
        if classes < 2:
            raise ValueError(
                "`classes` is the number of classes, at least 2 (a yes/no question has two). "
                f"Received: classes={classes}"
            )
        if space not in SPACES:
            raise ValueError(f"`space` is one of {', '.join(SPACES)}. Received: space={space!r}")
        self.normalization = _check_normalization(normalization, input_shape[-1])
        self.input_shape = tuple(map(int, input_shape))
        self.classes = int(classes)
        self.per_stage = tuple(per_stage)
        self.space = space
        self.fixed = {name: _python_value(value) for name, value in fixed.items()}

    def arguments(self) -> dict[str, Any]:
        """Return the keyword arguments that differ from their defaults, for `repr`."""
        defaults = {"per_stage": (), "space": SPACES[0], "normalization": None, "name": None}
        given = {name: getattr(self, name) for name in defaults}
        return {
            **{name: value for name, value in given.items() if value != defaults[name]},
            **self.fixed,
        }

    def __repr__(self) -> str:
        keywords = (f", {name}={value!r}" for name, value in self.arguments().items())
        return f"{type(self).__name__}({self.input_shape}, {self.classes}{''.join(keywords)})"

    @classmethod
    def sketch(cls, input_shape: tuple[int, int, int], classes: int, **options: Any) -> Self:
        """Return a hypermodel with the same space and model sizes that downloads no weights.

        Args:
            input_shape: (height, width, channels) of the images.
            classes: Number of classes, at least 2.
            **options: As for the class.
        """
        return cls(input_shape, classes, **options)

    @property
    def allows_mixed_precision(self) -> bool:
        """Whether `precision="auto"` may train its models in 16 bits.

        Models that this class builds rescale their input and return float32. If a subclass replaces
        `build`, neither is known, and this is False.
        """
        return type(self).build is ImageHyperModel.build

    @abstractmethod
    def architecture(self, space: Space, x: Any) -> Any:
        """Map rescaled images, float (N, height, width, channels), to logits (N, classes)."""

    def rescale(self, pixels: Any) -> Any:
        """Rescale raw pixels to [-1, 1], or standardise them if there is a `normalization`.

        Args:
            pixels: (N, height, width, channels), whatever the data format of the backend.

        Returns:
            The input of `architecture`, in the data format of the backend.
        """
        scale: float | list[float] = 1 / 127.5
        offset: float | list[float] = -1.0
        if self.normalization is not None:
            means, deviations = self.normalization
            scale = [1 / deviation for deviation in deviations]
            offset = [-mean / deviation for mean, deviation in zip(means, deviations, strict=True)]
        x = layers.Rescaling(scale, offset=offset, name="rescale")(pixels)
        return layers.Permute((3, 1, 2))(x) if channel_axis() == 1 else x

    def optimizer(
        self, space: Space, model: keras.Model
    ) -> tuple[keras.optimizers.Optimizer, FitSchedule]:
        """Return the optimizer of the model, and the callback with its learning-rate schedule."""
        return choose_optimizer(space)

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Build and compile the model that `hp` describes.

        Args:
            hp: Values of the hyperparameters; missing ones are registered with their defaults.

        Returns:
            A compiled model: uint8 (N, height, width, channels) -> probabilities (N, classes).

        Raises:
            ValueError: if a fixed hyperparameter has an unknown name or an invalid value.
        """
        space = Space(
            hp,
            self.fixed,
            self.per_stage,
            defaults=self.compiling_defaults,
            ranges=self.compiling_ranges,
            wide=self.space == "wide",
        )
        pixels = keras.Input(self.input_shape, dtype="uint8", name="pixels")
        logits = self.architecture(space, self.rescale(pixels))
        # Probabilities stay float32 under mixed precision.
        outputs = layers.Activation("softmax", dtype="float32", name="probabilities")(logits)
        model = keras.Model(pixels, outputs, name=self.name or type(self).__name__.lower())
        self._compile(space, model)
        space.check_names(type(self).__name__)
        return model

    def _compile(self, space: Space, model: keras.Model) -> None:
        """Initialise, regularise and compile a model as the space says."""
        condition_weights(space, model)
        optimizer, model.fit_schedule = self.optimizer(space, model)
        model.compile(optimizer=optimizer, loss=choose_loss(space), metrics=["accuracy"])

    def fit(
        self, hp: keras_tuner.HyperParameters, model: keras.Model, *args: Any, **kwargs: Any
    ) -> Any:
        """Train `model` like `keras.Model.fit`, with a schedule as long as the training.

        If the optimizer averages weights (`ema`), validation and callbacks use the averages.

        Args:
            hp: The hyperparameters from which `model` was built.
            model: A model returned by `build`.
            *args: As for `keras.Model.fit`.
            **kwargs: As for `keras.Model.fit`.

        Returns:
            The `keras.callbacks.History`.
        """
        callbacks = [model.fit_schedule, *(kwargs.pop("callbacks", None) or [])]
        return model.fit(*args, callbacks=around(model, callbacks), **kwargs)

    def hyperparameters(self) -> keras_tuner.HyperParameters:
        """Return the search space: all hyperparameters that are not fixed, with their defaults."""
        hp = keras_tuner.HyperParameters()
        self.build(hp)
        return hp


def _check_normalization(
    normalization: Sequence[Sequence[float]] | None, channels: int
) -> tuple[tuple[float, ...], ...] | None:
    """As tuples of floats."""
    if normalization is None:
        return None
    found = tuple(tuple(float(number) for number in numbers) for numbers in normalization)
    if [len(numbers) for numbers in found] != [channels, channels] or min(found[1]) <= 0:
        raise ValueError(
            f"`normalization` is {channels} means and {channels} standard deviations above 0, one "
            f"per channel. Received: normalization={normalization}"
        )
    return found


def _python_value(value: Any) -> Any:
    """Return NumPy's numbers and arrays, also those in a sequence, as Python values."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if isinstance(value, (tuple, list)):
        return type(value)(map(_python_value, value))
    return value

"""The base of every hypermodel here: raw pixels in, probabilities out, anything can be fixed."""

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

    The built model takes raw pixels, uint8 (N, height, width, channels), because the rescaling is
    a layer inside it: training and serving cannot differ. It returns probabilities (N, classes).

    Every hyperparameter can be fixed by keyword: `ConvNet(shape, 10, residual=True,
    filters=(32, 64, 128))`. The others are searched, save those that rarely help, as more
    dimensions make a search worse: they keep their defaults unless they are named in `per_stage`
    or `space="wide"` asks for all. `hypermodel.hyperparameters()` lists what is searched.

    Args:
        input_shape: (height, width, channels) of the images.
        classes: Number of classes, at least 2.
        per_stage: Names of hyperparameters that each stage chooses for itself; by default all
            stages share one value.
        space: "default" or "wide".
        normalization: Means and standard deviations of the channels, 0 to 255, that the pixels are
            standardised with inside the model, such as `data.pixel_statistics()` of an
            `kt_tuning.ImageData`; None rescales to [-1, 1].
        name: Name of the model.
        **fixed: Values of hyperparameters that are not searched.

    Attributes:
        compiling_defaults: The family's own defaults of `hypermodels.compiling`'s hyperparameters.
        compiling_ranges: The family's own ranges of its numbers, (least, greatest).
        by_epochs: Whether `fit` trains epoch after epoch; otherwise it is done after one.
        asks_everything: Whether each build asks for all hyperparameters, active or not, so that one
            build shows the whole space. A subclass that asks for some only if others have certain
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
        """Return the keyword arguments that are not the defaults, for the representation."""
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
        """A hypermodel of the same space and sizes that needs nothing from the network to build.

        Args:
            input_shape: (height, width, channels) of the images.
            classes: Number of classes, at least 2.
            **options: As for the class.
        """
        return cls(input_shape, classes, **options)

    @property
    def allows_mixed_precision(self) -> bool:
        """Whether its models may be trained in 16 bits without being asked for.

        What this class builds takes pixels that it has rescaled, and returns float32. Of a `build`
        that a subclass has replaced neither is known.
        """
        return type(self).build is ImageHyperModel.build

    @abstractmethod
    def architecture(self, space: Space, x: Any) -> Any:
        """Map rescaled images, float (N, height, width, channels), to logits (N, classes)."""

    def rescale(self, pixels: Any) -> Any:
        """Map raw pixels, (N, height, width, channels) whatever the backend's layout, to [-1, 1].

        Or standardise them, if there is a `normalization`.

        Returns:
            What `architecture` takes.
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
        """The model's optimizer, and the callback that fits its learning rate to the training."""
        return choose_optimizer(space)

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Build and compile the model that `hp` describes.

        Args:
            hp: Values of the hyperparameters; those it lacks are registered with their defaults.

        Returns:
            A compiled model: uint8 (N, height, width, channels) -> probabilities (N, classes).

        Raises:
            ValueError: if a fixed hyperparameter has a name or a value that does not exist.
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
        """Train `model` as `keras.Model.fit` does, with its schedule stretched over the training.

        Where weights are averaged, validation and callbacks see the averages after each epoch.

        Args:
            hp: The values that `model` was built from.
            model: What `build` returned.
            *args: As for `keras.Model.fit`.
            **kwargs: As for `keras.Model.fit`.

        Returns:
            The `keras.callbacks.History`.
        """
        callbacks = [model.fit_schedule, *(kwargs.pop("callbacks", None) or [])]
        return model.fit(*args, callbacks=around(model, callbacks), **kwargs)

    def hyperparameters(self) -> keras_tuner.HyperParameters:
        """Return the space: every free hyperparameter with its range and default."""
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
            f"a channel. Received: normalization={normalization}"
        )
    return found


def _python_value(value: Any) -> Any:
    """Return NumPy's numbers and arrays, also those in a sequence, as Python values."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if isinstance(value, (tuple, list)):
        return type(value)(map(_python_value, value))
    return value

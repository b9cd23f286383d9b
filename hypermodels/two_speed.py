"""One optimizer for what was trained before, and another for what is new."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="hypermodels")
class TwoSpeed(keras.optimizers.Optimizer):
    """Trains the first variables of a model by one optimizer and all others by another.

    Each part counts its own steps. So the part that starts later starts like any new optimizer: its
    schedule at the beginning, its moments (Kingma and Ba 2015, section 3) corrected for having seen
    nothing yet. And where a training is can be read from its variables alone.

    Args:
        slow: Optimizer of the first variables.
        fast: Optimizer of the others; `learning_rate` and `iterations` are its own.
        count: How many variables are the first ones.
        ratio: Learning rate of the slow part over that of the fast one, kept when it is set.
        name: Name of the optimizer.

    Attributes:
        frozen: Whether the first variables are left as they are. A training step that was traced
            before this is changed does not see it: call `model.make_train_function(force=True)`.
    """

    def __init__(
        self,
        slow: keras.optimizers.Optimizer,
        fast: keras.optimizers.Optimizer,
        count: int,
        ratio: float = 1.0,
        name: str = "two_speed",
    ) -> None:
        super().__init__(learning_rate=0.0, name=name)
        self.slow = slow
        self.fast = fast
        self.count = count
        self.frozen = False
        self.ratio = ratio

    @property
    def optimizers(self) -> list[keras.optimizers.Optimizer]:
        """Both parts, as in `keras.optimizers.MultiOptimizer`."""
        return [self.slow, self.fast]

    def build(self, variables: list[keras.Variable]) -> None:
        """Make the variables of both parts."""
        self.slow.build(variables[: self.count])
        self.fast.build(variables[self.count :])
        super().build(variables)

    @property
    def variables(self) -> list[keras.Variable]:
        """Those of both parts."""
        return [*self.slow.variables, *self.fast.variables]

    def apply(
        self, grads: Sequence[Any], trainable_variables: Sequence[keras.Variable] | None = None
    ) -> None:
        """Take a step with the parts that are not frozen; gradients of frozen ones are not read."""
        if trainable_variables is None:
            trainable_variables = self._trainable_variables
        grads, variables = list(grads), list(trainable_variables)
        if not self.built:
            self.build(variables)
        if not self.frozen:
            self.slow.apply(grads[: self.count], variables[: self.count])
        self.fast.apply(grads[self.count :], variables[self.count :])

    @property
    def iterations(self) -> Any:
        """Steps taken."""
        return self.fast.iterations

    @property
    def learning_rate(self) -> Any:
        """The rate of the fast part; setting it scales that of the slow one."""
        return self.fast.learning_rate

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        self.fast.learning_rate = rate
        self.slow.learning_rate = rate * self.ratio

    def finalize_variable_values(self, var_list: list[keras.Variable]) -> None:
        """Leave averaged weights in the model, if the parts average."""
        if int(ops.convert_to_numpy(self.slow.iterations)) > 0:
            # Before its first step its averages are zeros.
            self.slow.finalize_variable_values(var_list[: self.count])
        self.fast.finalize_variable_values(var_list[self.count :])

    def save_own_variables(self, store: Any) -> None:
        """Save nothing: Keras saves the parts, which hold all."""

    def load_own_variables(self, store: Any) -> None:
        """Load nothing, as nothing was saved."""

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, for saving."""
        return {
            "slow": keras.saving.serialize_keras_object(self.slow),
            "fast": keras.saving.serialize_keras_object(self.fast),
            "count": self.count,
            "ratio": self.ratio,
            "name": self.name,
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> TwoSpeed:
        """Make the optimizer from `get_config`'s output."""
        made = {
            part: keras.saving.deserialize_keras_object(config[part], custom_objects)
            for part in ("slow", "fast")
        }
        return cls(**{**config, **made})

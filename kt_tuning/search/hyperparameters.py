"""KerasTuner's hyperparameters, with choices of booleans that stay booleans."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import keras_tuner


class HyperParameters(keras_tuner.HyperParameters):
    """The search space and the values of one configuration, as in KerasTuner.

    Hypermodels and `run_trial` receive it. Unlike KerasTuner's class, `Choice` of booleans returns
    a boolean instead of 0 or 1.
    """

    @classmethod
    def sharing(cls, hp: keras_tuner.HyperParameters) -> Self:
        """Return an object of this class that shares space and values with another one."""
        if isinstance(hp, cls):
            return hp
        made = cls.__new__(cls)
        made.__dict__ = hp.__dict__
        return made

    def copy(self) -> Self:
        """Return an independent copy."""
        return self.from_config(self.get_config())

    def Choice(  # noqa: N802 (KerasTuner's name)
        self,
        name: str,
        values: Sequence[Any],
        ordered: bool | None = None,
        default: Any = None,
        parent_name: str | None = None,
        parent_values: Any = None,
    ) -> Any:
        """Return one of several values of the same type.

        Two booleans are searched as `Boolean`, a single one is `Fixed`.

        Args:
            name: Name of the hyperparameter, unique in the space.
            values: Values of type int, float, str or bool.
            ordered: Whether the values have an order; by default those of numbers do.
            default: One of `values`; the first one if None.
            parent_name: Name of a hyperparameter that this one depends on.
            parent_values: Its values for which this one is active.

        Returns:
            The value; None if the hyperparameter is not active.

        Raises:
            TypeError: if the values have several types, or another one.
            ValueError: if there are no values, or the default is none of them.
        """
        given = list(values)
        parent = {"parent_name": parent_name, "parent_values": parent_values}
        if not given or not all(isinstance(value, bool) for value in given):
            return super().Choice(name, given, ordered, default, **parent)
        default = given[0] if default is None else default
        if default not in given:
            raise ValueError(
                f"The default value should be one of the choices. Received for {name!r}: "
                f"values={given}, default={default!r}"
            )
        if len(set(given)) == 1:
            value = self.Fixed(name, given[0], **parent)
        else:
            value = self.Boolean(name, bool(default), **parent)
        # A search of KerasTuner has stored 0 or 1.
        return None if value is None else bool(value)

"""A view of KerasTuner's `HyperParameters` in which any hyperparameter can be fixed.

Architectures request values from a `Space` instead of from `hp`. A fixed hyperparameter is returned
immediately and never registered, so that no oracle searches it. Neither is a hyperparameter with a
single possible value, nor one whose parent can never have the required value.

Hyperparameters that are rarely worth searching are declared as `rare`: they can always be fixed,
and are searched only in a wide space or if they are named in `per_stage`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import keras_tuner


class Space:
    """Returns the values of hyperparameters: fixed ones, or those registered in `hp`.

    `ImageHyperModel.architecture` receives it in place of `hp`. Inside a scope that is not active
    (see `when`) every method returns None, as in KerasTuner.

    Args:
        hp: The hyperparameters, in which those that are not fixed are registered.
        fixed: Values by name. A tuple or list fixes a hyperparameter for each stage; the last value
            is also used for further stages.
        per_stage: Names with a separate hyperparameter for each stage (`filters_1`, `filters_2`, …)
            instead of one that all stages share.
        defaults: Defaults by name that replace those passed to the methods.
        ranges: Ranges (low, high) by name that replace those passed to `number`.
        wide: Whether rare values and hyperparameters are searched, too.
    """

    def __init__(
        self,
        hp: keras_tuner.HyperParameters,
        fixed: Mapping[str, Any],
        per_stage: Sequence[str] = (),
        *,
        defaults: Mapping[str, Any] | None = None,
        ranges: Mapping[str, tuple[float, float]] | None = None,
        wide: bool = False,
    ) -> None:
        self._hp = hp
        self._fixed = fixed
        self._per_stage = frozenset(per_stage)
        self._defaults = defaults or {}
        self._ranges = ranges or {}
        self._wide = wide
        # Whether the open scopes can be active in some configuration, and are in this one.
        self._possible = True
        self._active = True
        self._most_stages = 1
        self._options: dict[str, Sequence[Any]] = {}

    def choice(
        self,
        name: str,
        values: Sequence[Any],
        default: Any,
        stage: int | None = None,
        *,
        rare: Sequence[Any] = (),
        missing: Mapping[str, str] | None = None,
        always: bool = False,
    ) -> Any:
        """Return one of several values.

        Args:
            name: Name of the hyperparameter.
            values: Values to search.
            default: Value in the default configuration.
            stage: Index of the stage, from 0; None if it does not depend on the stage.
            rare: Further values, searched only in a wide space.
            missing: Rare values that the installed packages do not support -> the version that is
                needed. They are not searched, and refused if fixed.
            always: Whether it is registered even if there is only one value, so that each trial
                records its value although the available values may change.

        Raises:
            ValueError: if a fixed value is a text that is none of the values.
        """
        default = self._defaults.get(name, default)
        missing = missing or {}
        allowed = [one for one in dict.fromkeys([*values, *rare]) if one not in missing]
        options = allowed if self._searches_rare(name) else list(values)
        if default not in options:
            options = [default, *options]
        value = self._ask(
            name,
            stage,
            options,
            default,
            lambda key: self._hp.Choice(key, options, default=default),
            always=always,
        )
        if isinstance(value, str) and value in missing:
            raise ValueError(f"{name}={value!r} needs {missing[value]}")
        if isinstance(value, str) and value not in allowed:
            known = ", ".join(map(repr, allowed))
            raise ValueError(f"`{name}` is one of {known}. Received: {name}={value!r}")
        return value

    def boolean(
        self, name: str, default: bool, stage: int | None = None, *, rare: bool = False
    ) -> Any:
        """Return True or False; if `rare`, searched only in a wide space."""
        default = self._defaults.get(name, default)
        return self._ask(
            name,
            stage,
            [default] if rare and not self._searches_rare(name) else [False, True],
            default,
            lambda key: self._hp.Boolean(key, default=default),
        )

    def integer(
        self,
        name: str,
        low: int,
        high: int,
        default: int,
        stage: int | None = None,
        *,
        rare: bool = False,
    ) -> Any:
        """Return a whole number in [low, high]; if `rare`, searched only in a wide space."""
        default = self._defaults.get(name, default)
        return self._ask(
            name,
            stage,
            [default] if rare and not self._searches_rare(name) else range(low, high + 1),
            default,
            lambda key: self._hp.Int(key, low, high, default=default),
        )

    def number(
        self,
        name: str,
        low: float,
        high: float,
        default: float,
        *,
        step: float | None = None,
        log: bool = False,
        stage: int | None = None,
        rare: bool = False,
    ) -> Any:
        """Return a number in [low, high], in steps of `step` or on a logarithmic scale.

        If `rare`, it is searched only in a wide space.
        """
        default = self._defaults.get(name, default)
        low, high = self._ranges.get(name, (low, high))
        sampling = "log" if log else "linear"
        return self._ask(
            name,
            stage,
            [default] if rare and not self._searches_rare(name) else [low, high],
            default,
            lambda key: self._hp.Float(
                key, low, high, step=step, sampling=sampling, default=default
            ),
        )

    def stages(self, most: int, default: int) -> int:
        """Return the number of stages, in [1, most]; later stages have no hyperparameters."""
        self._most_stages = most
        stages: int = self.integer("stages", 1, most, default=min(default, most))
        if not 1 <= stages <= most:
            raise ValueError(f"`stages` is 1 to {most} for these images. Received: stages={stages}")
        return stages

    @contextlib.contextmanager
    def when(self, parent: str, values: Sequence[Any]) -> Iterator[bool]:
        """Open a scope whose hyperparameters are active only if `parent` has one of `values`.

        In a nested scope, `parent` must have been requested in the outer scope.

        Args:
            parent: A hyperparameter that was requested before and is shared by all stages.
            values: Values of the parent.

        Yields:
            Whether the scope is active.
        """
        outer = self._possible, self._active
        fixed = parent in self._fixed
        options = [self._fixed[parent]] if fixed else self._options[parent]
        possible = [value for value in options if value in values]
        try:
            if not (self._possible and possible):
                self._possible = self._active = False
            if not self._possible or len(options) == 1:
                yield self._active
            else:
                with self._hp.conditional_scope(parent, possible):
                    now = parent in self._hp and self._hp.get(parent) in possible
                    self._active = self._active and now
                    yield self._active
        finally:
            self._possible, self._active = outer

    def by_stage(self, name: str) -> bool:
        """Whether each stage has its own value of `name`, searched or fixed."""
        return name in self._per_stage or isinstance(self._fixed.get(name), (tuple, list))

    def check_names(self, owner: str) -> None:
        """Raise ValueError if a fixed or per-stage name was never asked for.

        Args:
            owner: Whose hyperparameters these are, for the message.
        """
        unknown = sorted((self._fixed.keys() | self._per_stage) - self._options.keys())
        if unknown:
            raise ValueError(
                f"{owner} has no hyperparameter {unknown[0]!r}. "
                f"It has: {', '.join(sorted(self._options))}."
            )

    def _searches_rare(self, name: str) -> bool:
        return self._wide or name in self._per_stage

    def _ask(
        self,
        name: str,
        stage: int | None,
        options: Sequence[Any],
        default: Any,
        register: Callable[[str], Any],
        *,
        always: bool = False,
    ) -> Any:
        self._options[name] = options
        if not self._possible:
            return None
        if name in self._fixed:
            value = self._fixed[name]
            if stage is not None and isinstance(value, (tuple, list)):
                value = value[min(stage, len(value) - 1)]
            return value if self._active else None
        if len(options) == 1 and not always:
            return default if self._active else None
        if stage is not None and name in self._per_stage:
            with self.when("stages", range(stage + 1, self._most_stages + 1)):
                return register(f"{name}_{stage + 1}") if self._possible else None
        return register(name)


def missing_before(version: str, *values: str) -> dict[str, str]:
    """Return the values that the installed Keras lacks, with what they need; see `Space.choice`.

    Args:
        version: First version of Keras that has them: "3.13".
        *values: Values of a hyperparameter.
    """
    installed, first = (
        [int(part) for part in each.split(".")[:2]] for each in (keras.__version__, version)
    )
    if installed >= first:
        return {}
    needed = f"Keras {version} or newer. Installed: {keras.__version__}"
    return dict.fromkeys(values, needed)

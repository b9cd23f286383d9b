"""The recipe: what `fit` needs and `build` does not, searched or fixed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras_tuner

from kt_tuning.augment import Mixing, Policy
from kt_tuning.errors import OptionError

BATCH_SIZE = "batch_size"
AUGMENT = "augment"
MIXUP = "mixup"
CUTMIX = "cutmix"
SEARCH = "search"


@dataclasses.dataclass(frozen=True)
class FitPlan:
    """A recipe with its hyperparameters filled in.

    Attributes:
        batch_size: Images a step.
        policy: Augmentation of the training images.
        mixing: How images are mixed, which makes labels soft: (n, classes). None if the recipe
            never mixes: labels are then integers (n,).
        balanced: Whether the loss is weighted so that all classes count alike.
        patience: Epochs without improvement of the objective after which training stops, or None.
    """

    batch_size: int
    policy: Policy
    mixing: Mixing | None
    balanced: bool
    patience: int | None


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How models are trained.

    A tuple (or list) of several values is searched: a hyperparameter of the argument's name
    chooses among them, and the first one is its default.

    Attributes:
        batch_size: Images a step.
        augment: A `Policy` or the name of one; "search" searches the policy itself, by
            `Policy.suggest`. A tuple of names chooses among those.
        mixup: α of MixUp, see `kt_tuning.augment.Mixing`; 0 is off. With MixUp or CutMix labels
            are soft: models need a loss that takes them, as all of `hypermodels` have.
        cutmix: α of CutMix, likewise.
        balanced: Whether the loss is weighted so that all classes count alike.
        patience: Epochs without improvement of the objective after which a trial stops early.

    Raises:
        OptionError: if a value is out of range or a policy is unknown.
    """

    batch_size: int | tuple[int, ...] = 64
    augment: str | Policy | tuple[str, ...] = "light"
    mixup: float | tuple[float, ...] = 0.0
    cutmix: float | tuple[float, ...] = 0.0
    balanced: bool = False
    patience: int | None = None

    def __post_init__(self) -> None:
        for name in (BATCH_SIZE, AUGMENT, MIXUP, CUTMIX):
            if isinstance(getattr(self, name), list):
                object.__setattr__(self, name, tuple(getattr(self, name)))
        for size in self._choices(BATCH_SIZE):
            if not isinstance(size, int) or isinstance(size, bool) or size < 1:
                raise OptionError(
                    "`batch_size` is a positive whole number, or several to choose from. "
                    f"Received: batch_size={self.batch_size!r}"
                )
        if self.augment != SEARCH:
            self._check_policies(self._choices(AUGMENT))
        for name in (MIXUP, CUTMIX):
            for alpha in self._choices(name):
                Mixing(**{name: alpha})
            if isinstance(getattr(self, name), tuple):
                # A hyperparameter's values are of one type.
                object.__setattr__(self, name, tuple(map(float, getattr(self, name))))
        if self.patience is not None and self.patience < 1:
            raise OptionError(
                "`patience` is a number of epochs, at least 1, or None. "
                f"Received: patience={self.patience}"
            )

    @property
    def mixes(self) -> bool:
        """Whether images are mixed in any trial: labels are then soft in all of them."""
        return any(self._choices(MIXUP)) or any(self._choices(CUTMIX))

    def check(self, shape: Sequence[int]) -> None:
        """Refuse images that the recipe cannot be used on, before training.

        Args:
            shape: (height, width, channels) of the images.

        Raises:
            OptionError: if a policy cannot be applied to them.
        """
        for chosen in self._choices(AUGMENT):
            self._policy(chosen, {}).check(shape)

    def declare(self, hp: keras_tuner.HyperParameters) -> None:
        """Register the recipe's hyperparameters, so that every oracle sees them."""
        for name in (BATCH_SIZE, AUGMENT, MIXUP, CUTMIX):
            choices = self._choices(name)
            if len(choices) > 1:
                hp.Choice(name, choices, default=choices[0])
        if self.augment == SEARCH:
            Policy.suggest(hp)

    def plan(self, values: Mapping[str, Any]) -> FitPlan:
        """Fill in the hyperparameters.

        Args:
            values: Hyperparameter values of a trial; those that are missing take their default.
        """
        chosen = {
            name: values.get(name, self._choices(name)[0])
            for name in (BATCH_SIZE, AUGMENT, MIXUP, CUTMIX)
        }
        return FitPlan(
            batch_size=int(chosen[BATCH_SIZE]),
            policy=self._policy(chosen[AUGMENT], values),
            mixing=Mixing(chosen[MIXUP], chosen[CUTMIX]) if self.mixes else None,
            balanced=self.balanced,
            patience=self.patience,
        )

    def _check_policies(self, policies: Sequence[Any]) -> None:
        for policy in policies:
            if isinstance(policy, Policy) and len(policies) > 1:
                raise OptionError(
                    "Policies to choose from are given by name, and only those in POLICIES have "
                    f"one. Received: augment={self.augment!r}"
                )
            if not isinstance(policy, Policy):
                Policy.named(policy)

    def _policy(self, chosen: Policy | str, values: Mapping[str, Any]) -> Policy:
        if isinstance(chosen, Policy):
            return chosen
        if chosen != SEARCH:
            return Policy.named(chosen)
        hp = keras_tuner.HyperParameters()
        hp.values = dict(values)
        return Policy.suggest(hp)

    def _choices(self, name: str) -> tuple[Any, ...]:
        value = getattr(self, name)
        choices = value if isinstance(value, tuple) else (value,)
        if not choices:
            raise OptionError(f"A recipe needs at least one value. Received: {name}=()")
        return choices

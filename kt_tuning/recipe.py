"""The recipe: the settings of the training that the hypermodel does not contain."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any, Self

import keras_tuner
import numpy as np

from kt_tuning.augment import (
    Mixing,
    Policy,
    default_policy,
    find_policy,
    loses_class_mirrored,
)
from kt_tuning.core.errors import OptionError
from kt_tuning.core.names import find_name
from kt_tuning.core.units import check_count

if TYPE_CHECKING:
    from kt_tuning.data import ImageData

BATCH_SIZE = "batch_size"
MAX_BATCH_SIZE = "max_batch_size"
AUGMENT = "augment"
MIXUP = "mixup"
CUTMIX = "cutmix"
BALANCE = "balance"
SEARCHED = (BATCH_SIZE, MAX_BATCH_SIZE, AUGMENT, MIXUP, CUTMIX, BALANCE)
SEARCH = "search"
LOOKED_AT = 500
"""Images by which the default augmentation is chosen."""

NO_BALANCE, WEIGHTS, SAMPLING = "none", "weights", "sampling"
BALANCES = (NO_BALANCE, WEIGHTS, SAMPLING)
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16", "auto")
PRECISION_ALIASES = {"bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}


@dataclasses.dataclass(frozen=True)
class FitPlan:
    """A recipe with its hyperparameters filled in.

    Attributes:
        batch_size: Images per step at the beginning.
        max_batch_size: Largest number of images per step; more than `batch_size` if batches grow.
        policy: Augmentation of the training images.
        mixing: How images are mixed, which makes labels soft: (n, classes). None if the recipe
            never mixes: labels are then integers (n,).
        balance: How classes are balanced, one of `BALANCES`.
    """

    batch_size: int
    max_batch_size: int
    policy: Policy
    mixing: Mixing | None
    balance: str

    @property
    def grows(self) -> bool:
        """Whether batches may grow during training."""
        return self.max_batch_size > self.batch_size


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How models are trained.

    If an argument is a tuple (or list) of several values, they are searched: a hyperparameter with
    the name of the argument chooses among them, and the first one is its default.

    Attributes:
        batch_size: Images per step.
        max_batch_size: If it is larger than the batch size, the batch size is doubled, up to this
            number of images, whenever the training loss stalls (see `kt_tuning.trials.callbacks`;
            Smith et al. 2018). None, or no more than the batch size: the batch size is constant.
        augment: A `Policy` or the name of one; `Recipe.for_images` has the one that `kt-tuning
            run` uses. "search" searches the policy itself, by `Policy.suggest`. A tuple of names
            chooses among those.
        mixup: α of MixUp, see `kt_tuning.augment.Mixing`; 0 is off. With MixUp or CutMix labels
            are soft: models need a loss that accepts soft labels, as all of `hypermodels` have. It
            has no effect where the features of frozen layers are computed once, as in `LinearProbe`
            and in `FineTune` unless all layers are trained (`unfreeze=1`); the same holds for
            `max_batch_size`.
        cutmix: α of CutMix, in the same way.
        balance: How rare classes are given the same weight as frequent ones: "none"; "weights" of
            the loss; or "sampling": each epoch draws the same number of images of every class,
            those of rare classes several times. All of them can be combined with MixUp and CutMix.
        patience: Epochs without improvement of the objective after which a trial stops early.
        precision: Precision of the training: "float32"; "mixed_bfloat16" or "mixed_float16", which
            need half the memory (Micikevicius et al. 2018); or "auto". For models that the classes
            in `hypermodels` build without pre-trained weights, "auto" is the fastest precision of
            the device, which on a CPU is "float32" unless it has instructions for bfloat16 matrices
            (AMX, or AVX-512's bfloat16). For other models it is "float32": those with pre-trained
            weights or a backbone of your own, and those of a subclass with its own `build`. Weights
            are always float32, and so are the models that a search returns: the reported metrics of
            a trial, and the predictions that ensembles are fitted on, are those of that float32
            model. Only the curve of a trial, by which its best epoch is chosen, is in the precision
            of the training. Not tested on a GPU.

    Raises:
        OptionError: if a value is out of range or a policy is unknown.
    """

    batch_size: int | tuple[int, ...] = 64
    max_batch_size: int | tuple[int, ...] | None = None
    augment: str | Policy | tuple[str, ...] = "light"
    mixup: float | tuple[float, ...] = 0.0
    cutmix: float | tuple[float, ...] = 0.0
    balance: str | tuple[str, ...] = NO_BALANCE
    patience: int | None = None
    precision: str = "auto"

    def __post_init__(self) -> None:
        for name in SEARCHED:
            if isinstance(getattr(self, name), list):
                object.__setattr__(self, name, tuple(getattr(self, name)))
        self._check_sizes()
        self._name_policies()
        for name in (MIXUP, CUTMIX):
            for alpha in self._choices(name):
                Mixing(**{name: alpha})
            # A hyperparameter's values are of one type.
            self._set(name, [float(alpha) for alpha in self._choices(name)])
        self._set(BALANCE, [find_name(one, BALANCES, BALANCE) for one in self._choices(BALANCE)])
        precision = find_name(self.precision, PRECISIONS, "precision", aliases=PRECISION_ALIASES)
        object.__setattr__(self, "precision", precision)
        object.__setattr__(self, "patience", check_count("patience", self.patience, optional=True))

    @classmethod
    def for_images(cls, data: ImageData | None, **options: Any) -> Self:
        """Return a recipe whose augmentation suits some images, unless it is given.

        It is "text", which does not mirror, if mirror images of the training split lose their
        class (`kt_tuning.augment.loses_class_mirrored`, of at most 500 of them); else "photo"
        from 96 pixels on, and "light" below.

        Args:
            data: The images; None for the defaults.
            **options: Other arguments of the recipe.

        Raises:
            OptionError: if an option is wrong.
        """
        if data is not None and options.get("augment") is None:
            places = np.random.default_rng(0).permutation(len(data.train))[:LOOKED_AT]
            images, labels = data.train.take(places), data.train.labels[places]
            oriented = loses_class_mirrored(images, labels)
            options["augment"] = default_policy(data.input_shape, mirrored=not oriented)
        return cls(**options)

    def __repr__(self) -> str:
        changed = (
            f"{field.name}={value!r}"
            for field in dataclasses.fields(self)
            if (value := getattr(self, field.name)) != field.default
        )
        return f"Recipe({', '.join(changed)})"

    @property
    def mixes(self) -> bool:
        """Whether images are mixed in any trial; labels are then soft in all trials."""
        return any(self._choices(MIXUP)) or any(self._choices(CUTMIX))

    def check(self, shape: Sequence[int]) -> None:
        """Check before training that the recipe can be applied to the images.

        Args:
            shape: (height, width, channels) of the images.

        Raises:
            OptionError: if a policy cannot be applied to them.
        """
        for chosen in self._choices(AUGMENT):
            self._policy(chosen, {}).check(shape)

    def declare(self, hp: keras_tuner.HyperParameters) -> None:
        """Register the recipe's hyperparameters, so that every oracle sees them."""
        for name in SEARCHED:
            choices = self._choices(name)
            if len(choices) > 1:
                hp.Choice(name, choices, default=choices[0])
        if self.augment == SEARCH:
            Policy.suggest(hp)

    def plan(self, values: Mapping[str, Any]) -> FitPlan:
        """Fill in the hyperparameters.

        Args:
            values: Hyperparameter values of a trial; missing ones have their defaults.
        """
        # A hyperparameter of the hypermodel may have the name of a setting that is not searched.
        chosen = {
            name: values.get(name, choices[0]) if len(choices) > 1 else choices[0]
            for name in SEARCHED
            if (choices := self._choices(name))
        }
        return FitPlan(
            batch_size=int(chosen[BATCH_SIZE]),
            max_batch_size=int(chosen[MAX_BATCH_SIZE] or chosen[BATCH_SIZE]),
            policy=self._policy(chosen[AUGMENT], values),
            mixing=Mixing(chosen[MIXUP], chosen[CUTMIX]) if self.mixes else None,
            balance=chosen[BALANCE],
        )

    def _check_sizes(self) -> None:
        sizes, largest = self._choices(BATCH_SIZE), self._choices(MAX_BATCH_SIZE)
        for name, values in ((BATCH_SIZE, sizes), (MAX_BATCH_SIZE, largest)):
            if values == (None,):
                continue
            for size in values:
                if not isinstance(size, Integral) or isinstance(size, bool) or size < 1:
                    raise OptionError(
                        f"`{name}` is a positive whole number, or several to choose from. "
                        f"Received: {name}={getattr(self, name)!r}"
                    )
            self._set(name, [int(size) for size in values])
        if largest != (None,) and max(largest) <= min(sizes):
            raise OptionError(
                "`max_batch_size` is what batches may grow to, more than `batch_size`. "
                f"Received: max_batch_size={self.max_batch_size!r}, batch_size={self.batch_size!r}"
            )

    def _name_policies(self) -> None:
        policies = self._choices(AUGMENT)
        if len(policies) > 1 and any(isinstance(policy, Policy) for policy in policies):
            raise OptionError(
                "Policies to choose from are given by name, and only those in POLICIES have "
                f"one. Received: augment={self.augment!r}"
            )
        if isinstance(self.augment, str) and self.augment.casefold() == SEARCH:
            self._set(AUGMENT, [SEARCH])
        else:
            self._set(AUGMENT, [p if isinstance(p, Policy) else find_policy(p) for p in policies])

    def _set(self, name: str, choices: Sequence[Any]) -> None:
        """Replace the values to choose from; a single value stays a single value."""
        several = isinstance(getattr(self, name), tuple)
        object.__setattr__(self, name, tuple(choices) if several else choices[0])

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

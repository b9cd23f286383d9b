"""The table of families, and a hypermodel that searches over several of them."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import keras_tuner

from hypermodels.backbone import BackboneError, Origin
from hypermodels.base import ImageHyperModel
from hypermodels.convnet import ConvNet
from hypermodels.finetune import FineTune
from hypermodels.linear_probe import LinearProbe
from hypermodels.mlp import MLP
from hypermodels.recurrent import Recurrent
from hypermodels.resnet import ResNet
from hypermodels.vit import ViT
from hypermodels.xception import Xception

logger = logging.getLogger("hypermodels")

FAMILY = "family"
"""Name of the hyperparameter that chooses the family."""
SEPARATOR = "/"
"""Separates the names of family and hyperparameter, as in KerasTuner's name scopes."""

HYPERMODELS: dict[str, type[ImageHyperModel]] = {
    "convnet": ConvNet,
    "resnet": ResNet,
    "xception": Xception,
    "mlp": MLP,
    "recurrent": Recurrent,
    "vit": ViT,
    "finetune": FineTune,
    "linearprobe": LinearProbe,
}
"""The families by name, for the command line, the tests and the documentation."""


class Families(keras_tuner.HyperModel):
    """Searches over several hypermodels: a hyperparameter chooses one of them.

    The hyperparameters of each family, including those of its optimizer, have its name as a prefix:
    "resnet/filters", "vit/optimizer". So a sampler learns separately how, for example, learning
    rates affect a transformer and a residual network, and ranges and defaults may differ. Only the
    hyperparameters of the chosen family are active. The default configuration is that of the first
    family.

        Families({"small": ConvNet(shape, 10, stages=2), "resnet": ResNet(shape, 10)})
        Families.named(["convnet", "resnet"], shape, 10, {"resnet/filters": 16})

    Args:
        members: Hypermodels by the names that the search shows, the default one first.
        name: Name of this hypermodel.

    Raises:
        ValueError: if there are no members, a name contains "/", or a member is not a
            `keras_tuner.HyperModel`.
    """

    def __init__(
        self, members: Mapping[str, keras_tuner.HyperModel], name: str | None = None
    ) -> None:
        super().__init__(name=name)
        if not members:
            raise ValueError("`members` needs at least one hypermodel. Received: none")
        for family, member in members.items():
            if SEPARATOR in family or not isinstance(member, keras_tuner.HyperModel):
                raise ValueError(
                    "`members` maps names without a slash to instances of keras_tuner.HyperModel, "
                    f"such as ConvNet(shape, 10). Received: {family!r}: {member!r}"
                )
        self.members = dict(members)

    def __repr__(self) -> str:
        members = ", ".join(f"{name!r}: {member!r}" for name, member in self.members.items())
        return f"Families({{{members}}})"

    @property
    def asks_everything(self) -> bool:
        """Whether `declare_hyperparameters` finds all hyperparameters, as each family says."""
        return all(getattr(member, "asks_everything", False) for member in self.members.values())

    def member(self, values: Mapping[str, Any]) -> keras_tuner.HyperModel:
        """Return the hypermodel of the family of a configuration; the default one if it has none.

        Args:
            values: Values by name, such as `hp.values`.
        """
        return self.members[values.get(FAMILY, next(iter(self.members)))]

    @classmethod
    def named(
        cls,
        names: Sequence[str],
        input_shape: tuple[int, int, int],
        classes: int,
        fixed: Mapping[str, Any] | None = None,
    ) -> Families:
        """Return the families of `HYPERMODELS` with the given names.

        A family that needs a pre-trained network is left out with a warning if none is available.

        Args:
            names: The families, the default one first.
            input_shape: (height, width, channels) of the images.
            classes: Number of classes, at least 2.
            fixed: Values of hyperparameters that are not searched: "resnet/filters" is fixed for
                that family only, a name without a slash in every family.

        Raises:
            ValueError: if a name is unknown or repeated, `fixed` names a family that is not among
                them, or no family is left.
        """
        for family in names:
            if family not in HYPERMODELS or list(names).count(family) > 1:
                raise ValueError(
                    f"`names` are different ones of {', '.join(HYPERMODELS)}. "
                    f"Received: {', '.join(names)}"
                )
        keywords: dict[str, dict[str, Any]] = {family: {} for family in names}
        for key, value in (fixed or {}).items():
            family, slash, own = key.partition(SEPARATOR)
            if slash and family not in keywords:
                raise ValueError(
                    f"{key!r} is fixed for a family that is not searched. "
                    f"These are: {', '.join(names)}."
                )
            for each in [family] if slash else names:
                keywords[each][own if slash else key] = value
        members: dict[str, keras_tuner.HyperModel] = {}
        for family, options in keywords.items():
            try:
                members[family] = HYPERMODELS[family](input_shape, classes, **options)
            except BackboneError as error:
                # A network that was named is required; an unnamed one can be left out.
                if "backbone" in options or len(names) == 1:
                    raise
                logger.warning("%s is left out: %s", family, error)
        return cls(members)

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Build and compile the model of the chosen family.

        Args:
            hp: Values of the hyperparameters; those of other families are ignored.

        Returns:
            The result of the family's `build`.
        """
        with self._chosen(hp) as member:
            return member.build(hp)

    def fit(
        self, hp: keras_tuner.HyperParameters, model: keras.Model, *args: Any, **kwargs: Any
    ) -> Any:
        """Train `model` with the `fit` of its family.

        Args:
            hp: The hyperparameters from which `model` was built.
            model: A model returned by `build`.
            *args: As for the family's `fit`.
            **kwargs: As for the family's `fit`.

        Returns:
            The result of the family's `fit`.
        """
        with self._chosen(hp) as member:
            return member.fit(hp, model, *args, **kwargs)

    def backbone_origin(self, hp: keras_tuner.HyperParameters) -> Origin | None:
        """Return the origin of the pre-trained network of a configuration; None if it has none.

        Args:
            hp: The configuration.
        """
        with self._chosen(hp) as member:
            origin_of = getattr(member, "backbone_origin", None)
            return None if origin_of is None else origin_of(hp)

    def declare_hyperparameters(self, hp: keras_tuner.HyperParameters) -> None:
        """Register the hyperparameters of every family; `build` registers only the chosen one's."""
        for family in self.members:
            own = keras_tuner.HyperParameters()
            own.values[FAMILY] = family
            with self._chosen(own) as member:
                member.declare_hyperparameters(own)
                member.build(own)
            hp.merge(own, overwrite=False)

    def hyperparameters(self) -> keras_tuner.HyperParameters:
        """Return the search space of all families, with the default values."""
        hp = keras_tuner.HyperParameters()
        self.declare_hyperparameters(hp)
        return hp

    @contextlib.contextmanager
    def _chosen(self, hp: keras_tuner.HyperParameters) -> Iterator[keras_tuner.HyperModel]:
        """The chosen family, while `hp` answers with its hyperparameters to their own names."""
        family = hp.Choice(FAMILY, list(self.members))
        with hp.conditional_scope(FAMILY, [family]), hp.name_scope(family):
            yield self.members[family]

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
"""Name of the hyperparameter that chooses."""
SEPARATOR = "/"
"""Between a family's name and its hyperparameter's, as KerasTuner's name scopes have it."""

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
    """Chooses among hypermodels, and what the chosen one chooses.

    Each family keeps all of its hyperparameters to itself, its optimizer's included, under its own
    name: "resnet/width", "vit/optimizer". A sampler then never mixes what a learning rate did to a
    transformer with what it did to a residual network, and the ranges and defaults may differ. Only
    those of the chosen family exist. The default configuration is that of the first family.

        Families({"small": ConvNet(shape, 10, stages=2), "resnet": ResNet(shape, 10)})
        Families.named(["convnet", "resnet"], shape, 10, {"resnet/width": 0.25})

    Args:
        members: Hypermodels by the names that the search shows, the default one first.
        name: Name of this hypermodel.

    Raises:
        ValueError: if there are none, a name has a "/", or one is no `keras_tuner.HyperModel`.
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
        """The hypermodel of the family that a configuration chooses, the default one if none.

        Args:
            values: By name, such as `hp.values`.
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
        """Families of `HYPERMODELS`, by their names there.

        A family that needs a pre-trained network is left out with a warning if none is at hand.

        Args:
            names: The families, the default one first.
            input_shape: (height, width, channels) of the images.
            classes: Number of classes, at least 2.
            fixed: Values of hyperparameters that are not searched: "resnet/width" is one of that
                family, a name without a slash is fixed in every family.

        Raises:
            ValueError: if a name is unknown or comes twice, `fixed` is for a family that is not
                among them, or no family is left.
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
                # One that was asked for by name is missed; of those at hand others will do.
                if "backbone" in options or len(names) == 1:
                    raise
                logger.warning("%s is left out: %s", family, error)
        return cls(members)

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Build and compile the chosen family's model.

        Args:
            hp: Values of the hyperparameters; those of other families are not looked at.

        Returns:
            What the family's `build` returns.
        """
        with self._chosen(hp) as member:
            return member.build(hp)

    def fit(
        self, hp: keras_tuner.HyperParameters, model: keras.Model, *args: Any, **kwargs: Any
    ) -> Any:
        """Train `model` as its family does.

        Args:
            hp: The values that `model` was built from.
            model: What `build` returned.
            *args: As for the family's `fit`.
            **kwargs: As for the family's `fit`.

        Returns:
            What the family's `fit` returns.
        """
        with self._chosen(hp) as member:
            return member.fit(hp, model, *args, **kwargs)

    def backbone_origin(self, hp: keras_tuner.HyperParameters) -> Origin | None:
        """Where the pre-trained network of a configuration comes from; None if it has none.

        Args:
            hp: The configuration.
        """
        with self._chosen(hp) as member:
            origin_of = getattr(member, "backbone_origin", None)
            return None if origin_of is None else origin_of(hp)

    def declare_hyperparameters(self, hp: keras_tuner.HyperParameters) -> None:
        """Register the hyperparameters of every family; `build` registers the chosen one's only."""
        for family in self.members:
            own = keras_tuner.HyperParameters()
            own.values[FAMILY] = family
            with self._chosen(own) as member:
                member.declare_hyperparameters(own)
                member.build(own)
            hp.merge(own, overwrite=False)

    def hyperparameters(self) -> keras_tuner.HyperParameters:
        """Return the space: every free hyperparameter of every family, and the defaults."""
        hp = keras_tuner.HyperParameters()
        self.declare_hyperparameters(hp)
        return hp

    @contextlib.contextmanager
    def _chosen(self, hp: keras_tuner.HyperParameters) -> Iterator[keras_tuner.HyperModel]:
        """The chosen family, while `hp` answers with its hyperparameters to their own names."""
        family = hp.Choice(FAMILY, list(self.members))
        with hp.conditional_scope(FAMILY, [family]), hp.name_scope(family):
            yield self.members[family]

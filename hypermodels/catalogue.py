"""What there is to search: the hyperparameters of a family, and how large its models are."""

from __future__ import annotations

import dataclasses
import gc
import random
from typing import Any

import keras_tuner

from hypermodels.families import HYPERMODELS


@dataclasses.dataclass(frozen=True)
class Row:
    """One hyperparameter.

    Attributes:
        name: Its name, the keyword that fixes it.
        values: What the search may choose from, in words: "16, 32, 64" or "0.01 to 0.5 (log)".
        default: Its value in the default configuration.
        condition: When it exists, in words: "optimizer is sgd"; empty for always.
    """

    name: str
    values: str
    default: Any
    condition: str


@dataclasses.dataclass(frozen=True)
class Description:
    """A family of models.

    Attributes:
        family: Name in `HYPERMODELS`.
        summary: The first line of its docstring.
        rows: Its hyperparameters, in the order in which they are asked for.
        smallest: Parameters of the smallest model among the default one and a random sample.
        default: Parameters of the default model.
        largest: Parameters of the largest model among those.
    """

    family: str
    summary: str
    rows: tuple[Row, ...]
    smallest: int
    default: int
    largest: int


def describe(
    family: str,
    input_shape: tuple[int, int, int] = (32, 32, 3),
    classes: int = 10,
    *,
    space: str = "default",
    sample: int = 16,
    seed: int = 0,
) -> Description:
    """Describe a family for images of one shape.

    Args:
        family: Name in `HYPERMODELS`.
        input_shape: (height, width, channels) of the images.
        classes: Number of classes, at least 2.
        space: "default" or "wide".
        sample: Random configurations that are built to see how many parameters models have.
        seed: Of those configurations.

    Raises:
        ValueError: if there is no such family, or it does not take such images.
    """
    if family not in HYPERMODELS:
        raise ValueError(f"`family` is one of {', '.join(HYPERMODELS)}. Received: family={family}")
    hypermodel = HYPERMODELS[family].sketch(input_shape, classes, space=space)
    hp = keras_tuner.HyperParameters()
    default = hypermodel.build(hp).count_params()
    rng = random.Random(seed)
    counts = [default]
    for _ in range(sample):
        # A model is full of cycles, and may be hundreds of megabytes.
        gc.collect()
        counts.append(hypermodel.build(random_configuration(hp, rng)).count_params())
    return Description(
        family=family,
        summary=(type(hypermodel).__doc__ or "").strip().splitlines()[0],
        rows=tuple(
            Row(entry.name, _values(entry), entry.default, _condition(entry)) for entry in hp.space
        ),
        smallest=min(counts),
        default=default,
        largest=max(counts),
    )


def random_configuration(
    hp: keras_tuner.HyperParameters, rng: random.Random
) -> keras_tuner.HyperParameters:
    """Draw a configuration uniformly, each hyperparameter on its own scale.

    Args:
        hp: A space, as `ImageHyperModel.hyperparameters` returns it; not changed.
        rng: Source of randomness.

    Returns:
        A copy of the space with values for all hyperparameters that are active.
    """
    drawn = hp.copy()
    drawn.values = {}
    # Parents come before their children.
    for entry in drawn.space:
        if drawn.is_active(entry):
            drawn.values[entry.name] = entry.random_sample(rng.random())
    return drawn


def _values(entry: Any) -> str:
    """The range of a hyperparameter, in words."""
    config = entry.get_config()
    if "values" in config:
        return ", ".join(map(str, config["values"]))
    if "min_value" not in config:
        return "True, False"
    text = f"{config['min_value']:g} to {config['max_value']:g}"
    if config["sampling"] != "linear":
        return f"{text} ({config['sampling']})"
    step = config["step"]
    return text if step in (None, 1) else f"{text} in steps of {step:g}"


def _condition(entry: Any) -> str:
    """When a hyperparameter exists, in words."""
    parts = (
        f"{condition.name} is {', '.join(map(str, condition.values))}"
        for condition in entry.conditions
    )
    return "; ".join(parts)

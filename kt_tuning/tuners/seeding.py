"""Seeds of KerasTuner's oracles."""

from __future__ import annotations

from typing import TypeVar

import keras_tuner

AnyOracle = TypeVar("AnyOracle", bound=keras_tuner.Oracle)


def seeded(oracle: AnyOracle, seed: int | None) -> AnyOracle:
    """Set an oracle's seed, 0 included, which KerasTuner takes for "none given"."""
    if seed is not None:
        oracle.seed = oracle._seed_state = seed
    return oracle

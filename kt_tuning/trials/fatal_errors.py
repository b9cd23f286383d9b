"""Errors that KerasTuner raises, too: code that expects KerasTuner's classes catches ours."""

from __future__ import annotations

import keras_tuner

from kt_tuning.core.errors import OptionError


class NoModelError(OptionError, keras_tuner.errors.FatalTypeError):
    """The hypermodel should build a Keras model."""


class CallbackError(OptionError, keras_tuner.errors.FatalValueError):
    """The callbacks should be such that they can be copied."""

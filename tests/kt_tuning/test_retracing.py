"""TensorFlow's advice on retracing is hidden where many models are used."""

import logging

import pytest

from kt_tuning.core.quiet import quiet_keras_tuner, without_retracing_advice

ADVICE = "5 out of the last 5 calls to <function f> triggered tf.function retracing. Tracing is"


@pytest.fixture
def heard(caplog):
    """Return a function that logs as TensorFlow does, and whether that was heard."""
    caplog.set_level("WARNING", logger="tensorflow")
    logger = logging.getLogger("tensorflow")
    logger.addHandler(caplog.handler)

    def said(text):
        caplog.clear()
        logger.warning(text)
        return bool(caplog.records)

    yield said
    logger.removeHandler(caplog.handler)


def test_only_the_advice_is_hidden_and_only_within_the_block(heard):
    assert heard(ADVICE)
    with without_retracing_advice():
        assert not heard(ADVICE)
        assert heard("The disk is full.")
    assert heard(ADVICE)


@pytest.mark.parametrize("inner", [quiet_keras_tuner, without_retracing_advice])
def test_it_stays_hidden_after_a_block_within(inner, heard):
    with quiet_keras_tuner():
        with inner():
            pass
        assert not heard(ADVICE)

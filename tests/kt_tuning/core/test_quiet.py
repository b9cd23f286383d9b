import gc
import logging

import pytest
from garbage import COUNT_FROZEN

from kt_tuning.core.quiet import light_collections, without_repetitions


@pytest.fixture
def nothing_frozen(monkeypatch):
    """Undo what `conftest.py` has frozen, and that it counts no more."""
    monkeypatch.setattr(gc, "get_freeze_count", COUNT_FROZEN)
    gc.unfreeze()
    yield
    gc.freeze()


@pytest.mark.usefixtures("nothing_frozen")
def test_collections_spare_what_was_there_before():
    with light_collections():
        assert gc.get_freeze_count() > 0
    assert gc.get_freeze_count() == 0


@pytest.mark.usefixtures("nothing_frozen")
def test_what_somebody_else_froze_stays_frozen():
    with light_collections():
        frozen = gc.get_freeze_count()
        with light_collections():
            pass
        assert gc.get_freeze_count() == frozen


def test_what_is_to_be_said_once_is_said_once(caplog):
    logger = logging.getLogger("kt_tuning")
    for _ in range(2):
        with without_repetitions():
            for text, extra in [("first", {"once": "a"}), ("again", {"once": "a"})]:
                logger.warning(text, extra=extra)
            logger.warning("other", extra={"once": "b"})
            logger.warning("plain")
            logger.warning("plain")
    assert [record.getMessage() for record in caplog.records] == [
        *("first", "other", "plain", "plain"),
        *("first", "other", "plain", "plain"),
    ]

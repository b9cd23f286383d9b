import gc

import pytest

from kt_tuning.search.quiet import light_collections


@pytest.fixture
def nothing_frozen():
    frozen = gc.get_freeze_count()
    gc.unfreeze()
    yield
    if frozen:
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

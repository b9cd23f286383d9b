"""What a worker logs, and what of that its parent gets."""

import logging

import pytest

from kt_tuning.core.progress import write_line
from kt_tuning.execution.executor import Worker
from kt_tuning.execution.worker import ForwardingHandler

LOGGER = "kt_tuning"


def test_warnings_and_lines_of_progress_are_forwarded(monkeypatch, caplog):
    sent = []
    logger = logging.getLogger(LOGGER)
    monkeypatch.setattr(logger, "handlers", [])
    with caplog.at_level(logging.WARNING, LOGGER):
        ForwardingHandler(sent.append).attach()
        logger.info("of no interest elsewhere")
        write_line("Computing features: 256 of 1,040 (0:02)")
        logger.warning("A file is missing.")
    assert [record.getMessage() for record in sent] == [
        "Computing features: 256 of 1,040 (0:02)",
        "A file is missing.",
    ]


class Silent(Worker):
    """A worker that sends nothing."""

    def receive(self):
        raise EOFError("silent")

    def answer(self, answer):
        raise AssertionError("no report was sent")


@pytest.mark.parametrize(("level", "shown"), [(logging.INFO, 1), (logging.WARNING, 0)])
def test_they_are_shown_to_those_who_want_them(caplog, level, shown):
    record = logging.makeLogRecord({"name": LOGGER, "levelno": logging.INFO, "msg": "line"})
    with caplog.at_level(level, LOGGER):
        Silent().handle(("logged", record), driver=None)
    assert caplog.messages == ["line"] * shown

"""Event files, read back as TensorBoard reads them."""

import pytest
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import api_pb2, list_session_groups
from tensorboard.plugins.hparams.backend_context import Context

from kt_tuning.core.records import FAILED
from kt_tuning.tracking import find_trackers


def log(run, *trials):
    tracking = run.tracking(*find_trackers("tensorboard"))
    for trial in trials:
        tracking.tell(trial)
    tracking.close(None, lambda: None)


def read(run):
    events = EventMultiplexer()
    events.AddRunsFromDirectory(str(run.directory / "tensorboard"))
    events.Reload()
    return events


def curve(run, trial, tag="val_accuracy"):
    tensors = read(run).Tensors(trial, tag)
    return [(event.step, event.tensor_proto.float_val[0]) for event in tensors]


def sessions(run):
    """What the HParams plugin lists, by name."""
    provider = MultiplexerDataProvider(read(run), str(run.directory))
    request = api_pb2.ListSessionGroupsRequest(
        start_index=0,
        slice_size=10,
        allowed_statuses=[
            api_pb2.STATUS_UNKNOWN,
            api_pb2.STATUS_SUCCESS,
            api_pb2.STATUS_FAILURE,
            api_pb2.STATUS_RUNNING,
        ],
    )
    backend = Context(TBContext(data_provider=provider, logdir=str(run.directory)))
    handler = list_session_groups.Handler(RequestContext(), backend, "", request)
    return {group.name: group for group in handler.run().session_groups}


def test_the_hparams_plugin_lists_the_trials(run):
    log(
        run,
        run.end(run.train(0, 0.5, 0.75, norm="batch", rate=0.5)),
        run.end(run.train(1, 0.6, residual=True), status=FAILED),
        run.train(2, 0.7),
    )
    groups = sessions(run)
    assert sorted(groups) == ["0", "1", "2"]
    first, second = groups["0"], groups["1"]
    assert first.hparams["units"].number_value == 4
    assert first.hparams["norm"].string_value == "batch"
    assert second.hparams["residual"].bool_value is True
    metrics = {value.name.tag: value.value for value in first.metric_values}
    assert metrics["best/val_accuracy"] == 0.75
    states = [groups[name].sessions[0].status for name in ("0", "1", "2")]
    assert states == [api_pb2.STATUS_SUCCESS, api_pb2.STATUS_FAILURE, api_pb2.STATUS_UNKNOWN]


def test_every_epoch_is_a_point_of_a_curve(run):
    log(run, run.end(run.train(0, 0.5, 0.75)))
    assert curve(run, "trial_0") == [(0, 0.5), (1, 0.75)]
    assert curve(run, "trial_0", "seconds") == [(0, 2.0), (1, 2.0)]


def test_a_trial_that_is_resumed_goes_on_with_its_curve(run):
    trial = run.train(0, 0.5)
    log(run, trial)
    run.epoch(trial, 0.75)
    log(run, run.end(trial))
    assert curve(run, "trial_0") == [(0, 0.5), (1, 0.75)]
    assert sessions(run)["0"].hparams["units"].number_value == 4


@pytest.mark.parametrize("noted", [0, 1])
def test_what_was_written_but_not_noted_before_a_kill_is_no_second_point(run, noted):
    trial = run.train(0, 0.5, 0.75)
    log(run, trial)
    ledger = run.directory / "tracking" / "tensorboard.jsonl"
    lines = ledger.read_text().splitlines(keepends=True)
    ledger.write_text("".join(lines[: 1 + noted]))
    log(run, trial)
    assert curve(run, "trial_0") == [(0, 0.5), (1, 0.75)]
    assert sorted(sessions(run)) == ["0"]

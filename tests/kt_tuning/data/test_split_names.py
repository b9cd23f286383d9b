"""Which names mean a split, whatever their language and spelling."""

from __future__ import annotations

import unicodedata

import pytest

from kt_tuning.data.split_names import split_parts


@pytest.mark.parametrize(
    ("part", "names"),
    [
        (
            "train",
            "train TRAIN Training training_set trainset TrainingSet train-data trn 01_train",
        ),
        ("validation", "val Valid validation validation_set val_data dev DevSet eval evaluation"),
        ("test", "test Testing test_set TESTSET testset test_images testData"),
    ],
)
def test_usual_names_of_splits_in_any_case(part: str, names: str) -> None:
    for name in names.split():
        assert split_parts([name]) == {name: part}


@pytest.mark.parametrize(
    "names",
    [
        ("seg_train", "seg_test"),
        ("train2017", "val2017"),
        ("01_seg_train", "02_seg_test"),
        ("images_train", "images_valid"),
        ("flowers-training", "flowers-testing"),
    ],
)
def test_other_words_may_be_shared_with_another_part(names: tuple[str, str]) -> None:
    assert set(split_parts(names)) == set(names)


@pytest.mark.parametrize(
    "names",
    [
        ("freight_train", "passenger_train", "bus"),
        ("test_tube", "beaker"),
        ("strain", "contest", "valley", "device"),
        ("train_test", "other"),
    ],
)
def test_names_that_only_contain_such_a_word_are_none(names: tuple[str, ...]) -> None:
    assert split_parts(names) == {}


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("entraînement", "Test"),
        ("Trainingsdaten", "Testdaten"),
        ("entrenamiento", "prueba"),
        ("treino", "teste"),
        ("addestramento", "prova"),
        ("eğitim", "test"),
        ("trains", "tests"),
        ("обучение", "тест"),
        ("训练集", "测试集"),
        ("学習データ", "テストデータ"),
    ],
)
def test_names_of_splits_in_other_languages(train: str, test: str) -> None:
    expected = {train: "train", test: "test"}
    assert split_parts([train, test]) == expected
    decomposed = unicodedata.normalize("NFD", train)  # as macOS writes names
    assert split_parts([decomposed, test])[decomposed] == "train"

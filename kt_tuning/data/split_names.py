"""Names of folders and columns that mean a split: training, validation or test."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

#: Words that name a split.
_WORDS = {
    "train": ("train", "training", "trn", "tr"),
    "validation": (
        *("val", "valid", "validation", "validate"),
        *("dev", "development", "eval", "evaluation"),
    ),
    "test": ("test", "testing", "tst", "ts", "te"),
}
#: The same in the plural, and in German, French, Spanish, Portuguese, Italian, Dutch, Polish,
#: Turkish, Russian, Chinese, Japanese and Korean, where they differ.
_TRANSLATIONS = {
    "train": "trains trainings ausbildung entraînement apprentissage entrenamiento treino "
    "treinamento addestramento trening eğitim обучение обучающая 训练 訓練 学习 学習 훈련 학습",
    "validation": "validations validierung validación validação validazione validatie walidacja "
    "doğrulama валидация 验证 驗證 検証 검증",
    "test": "teste tests prueba pruebas prova prove тест тестовая 测试 測試 テスト 테스트 시험",
}

#: Words that say nothing about which split it is.
_NEUTRAL = frozenset(
    {
        *("set", "sets", "data", "dataset", "split", "folder", "dir"),
        *("image", "images", "img", "imgs", "photos", "pictures"),
    }
)

#: Endings of words that say as little, as in "trainset" and "testdata".
_ENDINGS = "set data images sdaten daten sbilder bilder 集 数据 データ 데이터"


def _without_accents(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(char for char in decomposed if not unicodedata.combining(char))


_TRANSLATED = {
    word: part for part, words in _TRANSLATIONS.items() for word in _without_accents(words).split()
}
_PART_OF_WORD = {word: part for part, words in _WORDS.items() for word in words} | _TRANSLATED

#: Words that name a split only beside another split: "tr" and "te" may be languages.
_UNSURE = frozenset({"tr", "ts", "te", *_TRANSLATED})


def split_parts(names: Iterable[str]) -> dict[str, str]:
    """Return the part, "train", "validation" or "test", of each name that means one.

    A name is cut into words at anything but letters, at a capital inside a word, and before "set"
    and "data". One of the words names the part; "set", "images" and the like may be added. Any
    other word, as in `seg_train` and `seg_test`, must be shared with a name of another part: alone,
    `freight_train` is a kind of train. So must words of two letters, as in `imagesTr`, and those of
    other languages. Case and accents do not matter.
    """
    parsed = {name: found for name in names if (found := _parse(name)) is not None}
    parts_of_affix: dict[tuple[str, ...], set[str]] = {}
    for part, affix, _ in parsed.values():
        parts_of_affix.setdefault(affix, set()).add(part)
    return {
        name: part
        for name, (part, affix, unsure) in parsed.items()
        if not (affix or unsure) or len(parts_of_affix[affix]) > 1
    }


def _parse(name: str) -> tuple[str, tuple[str, ...], bool] | None:
    """Return the part in a name, its other words that are not neutral, and whether it is unsure."""
    found = re.findall(r"[A-Z]*[a-z]+|[A-Z]+|\d+|[^\W\d_]+", _without_accents(name))
    words = [_stem(word.lower()) for word in found]
    parts = {_PART_OF_WORD[word] for word in words if word in _PART_OF_WORD}
    if len(parts) != 1:
        return None
    ignored = _NEUTRAL | _PART_OF_WORD.keys()
    affix = tuple(word for word in words if word not in ignored and not word.isdigit())
    return parts.pop(), affix, not _UNSURE.isdisjoint(words)


def _stem(word: str) -> str:
    """Return a word without one of `_ENDINGS` if what is left names a split."""
    stems = map(word.removesuffix, _without_accents(_ENDINGS).split())
    return next((stem for stem in stems if stem in _PART_OF_WORD), word)

"""Databases by their URLs; none is needed here."""

import sys
from pathlib import Path

import pytest

from kt_tuning import Tuner
from kt_tuning.core.errors import MissingExtraError, OptionError, StorageError
from kt_tuning.search.study.storage import (
    completed,
    open_storage,
    server_of,
    trusted_storage,
    without_password,
)


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("postgresql://host/name", "postgresql"),
        ("postgresql+psycopg2://host/name", "postgresql"),
        ("mysql+pymysql://host/name", "mysql"),
        ("mariadb://host/name", "mysql"),
        ("sqlite:///study.db", None),
        ("study.db", None),
    ],
)
def test_servers_are_told_from_files(url, server):
    assert server_of(url) == server


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://user@host/name", "postgresql+psycopg://user@host/name"),
        ("postgresql+psycopg2://user@host/name", "postgresql+psycopg2://user@host/name"),
        ("mysql://user@host:3307/name", "mysql+pymysql://user@host:3307/name"),
        ("mariadb+mysqldb://user@host/name", "mysql+mysqldb://user@host/name"),
        ("sqlite:///study.db", "sqlite:///study.db"),
    ],
)
def test_the_driver_is_that_of_the_extra_unless_it_is_named(url, expected, monkeypatch):
    monkeypatch.delenv("KT_TUNING_STORAGE_PASSWORD", raising=False)
    assert completed(url) == expected


def test_the_password_comes_from_the_environment_if_the_url_has_none(monkeypatch):
    monkeypatch.setenv("KT_TUNING_STORAGE_PASSWORD", "p@ss/word")
    assert completed("mysql://user@host/name") == "mysql+pymysql://user:p%40ss%2Fword@host/name"
    assert completed("mysql://user:own@host/name") == "mysql+pymysql://user:own@host/name"
    assert completed("sqlite:///study.db") == "sqlite:///study.db"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://user:secret@host:5432/name", "postgresql://user@host:5432/name"),
        (
            "mysql://user@host/name?charset=utf8&passwd=secret",
            "mysql://user@host/name?charset=utf8",
        ),
        ("postgresql://user@host/name?password=secret", "postgresql://user@host/name"),
        ("sqlite:///a/study.db", "sqlite:///a/study.db"),
        ("study.db", "study.db"),
    ],
)
def test_passwords_are_not_shown(url, shown):
    assert without_password(url) == shown


@pytest.mark.parametrize(
    ("url", "package", "extra"),
    [
        ("mysql://user:secret@host/name", "pymysql", "mysql"),
        ("mariadb://user:secret@host/name", "pymysql", "mysql"),
        ("postgresql://user:secret@host/name", "psycopg", "postgresql"),
    ],
)
def test_a_missing_driver_is_named_with_its_extra(url, package, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError) as caught:
        open_storage(url)
    assert f"pip install 'kt-tuning[{extra}]'" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_server_that_does_not_answer_is_named_without_its_password():
    pytest.importorskip("psycopg", reason="the extra postgresql is not installed")
    # Nobody listens on port 1.
    with pytest.raises(StorageError, match=r"postgresql://user@127\.0\.0\.1:1/name") as caught:
        open_storage("postgresql://user:secret@127.0.0.1:1/name")
    assert "secret" not in str(caught.value)
    assert "KT_TUNING_STORAGE_PASSWORD" in str(caught.value)


def test_what_others_use_is_not_overwritten(stripes, tmp_path):
    from tiny_models import tiny

    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "kept").touch()
    options = {"storage": "mysql://user@host/name", "overwrite": True}
    with pytest.raises(OptionError, match="optuna delete-study --study-name run"):
        Tuner(tiny, directory=tmp_path, project_name="run", **options)
    assert (tmp_path / "run" / "kept").exists()


def test_a_recorded_storage_that_is_no_url_is_refused_with_its_file():
    with pytest.raises(StorageError, match=r"options\.json is damaged: `storage`"):
        trusted_storage({"host": "db"}, Path("options.json"))

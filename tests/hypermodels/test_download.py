"""A server that does not answer costs seconds."""

import http.server
import socket
import threading

import pytest

from hypermodels import FineTune
from hypermodels.backbone import BackboneError
from hypermodels.download import keras_models, unreachable


def test_a_server_that_answers_is_reachable():
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        assert unreachable(f"http://127.0.0.1:{server.server_port}/") is None
        thread.join()


def test_why_a_server_is_not_reached_is_said():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        assert unreachable(url, 0.1) in ("no answer within 0.1 s", "timed out")
    assert "refused" in unreachable(url)


def test_a_network_that_cannot_be_downloaded_is_refused_before_any_model(monkeypatch):
    monkeypatch.setattr("hypermodels.download.unreachable", lambda url: "no such host")
    with pytest.raises(BackboneError, match=r"MobileNetV2 cannot be downloaded .*: no such host"):
        FineTune((32, 32, 3), 2, backbone="MobileNetV2")
    assert not keras_models().exists()


def test_another_file_than_was_expected_is_refused(monkeypatch):
    def get_file(*arguments, **options):
        raise ValueError("Incomplete or corrupted file detected.\nMore of it.")

    monkeypatch.setattr("hypermodels.download.unreachable", lambda url: None)
    monkeypatch.setattr("keras.utils.get_file", get_file)
    with pytest.raises(BackboneError, match=r"Incomplete or corrupted file detected\.\. Try"):
        FineTune((32, 32, 3), 2, backbone="MobileNetV2")

"""The health check of the image finds the port, and says no when there is no good answer."""

from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlsplit

import pytest

from daemon import health
from daemon.config import Config
from daemon.demo.servers.loopback import serving
from daemon.sections import Server
from daemon.terminal import DEFAULT_CONFIG


@contextmanager
def answering(status, body=b"ok"):
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status if self.path == "/livez" else 404)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with serving(Answer) as url:
        yield urlsplit(url).port


def test_it_is_well_when_livez_says_so_at_the_port_of_the_file(tmp_path):
    with answering(200) as port:
        (tmp_path / "moveout.yaml").write_text(f"server: {{listen: '0.0.0.0:{port}'}}\n")
        assert health.main({"MOVEOUT_CONFIG": str(tmp_path / "moveout.yaml")}) == 0


def test_it_is_not_well_when_livez_says_so_and_why_is_told(capsys):
    with answering(503, b"the loop has not turned for 61 s") as port:
        assert health.main({"MOVEOUT_SERVER__LISTEN": f"127.0.0.1:{port}"}) == 1
    assert "says 503: the loop has not turned" in capsys.readouterr().err


def test_it_is_not_well_when_nobody_answers(capsys):
    with answering(200) as port:
        pass
    assert health.main({"MOVEOUT_SERVER__LISTEN": f"127.0.0.1:{port}"}) == 1
    assert "cannot be asked" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "variable", "asked"),
    [
        ("server: {listen: '0.0.0.0:9000'}", "[::]:9001", ("::1", 9001)),
        ("server: {listen: '0.0.0.0:9000'}", "", ("127.0.0.1", 9000)),
        ("server: {listen: '[::1]:9000'}", "", ("::1", 9000)),
        ("server: {}", "", ("127.0.0.1", 8080)),
        ("migration: orders", "", ("127.0.0.1", 8080)),
        ("}", "", ("127.0.0.1", 8080)),
        (None, "", ("127.0.0.1", 8080)),
    ],
)
def test_the_environment_wins_over_the_file_and_the_file_over_the_default(tmp_path, file, variable, asked):
    path = tmp_path / "moveout.yaml"
    if file is not None:
        path.write_text(file)
    assert health.address({"MOVEOUT_CONFIG": str(path), "MOVEOUT_SERVER__LISTEN": variable}) == asked


def test_names_and_defaults_are_those_of_the_configuration():
    prefix, nested = Config.model_config["env_prefix"], Config.model_config["env_nested_delimiter"]
    assert f"{prefix}server{nested}listen".upper() == health.LISTEN_VARIABLE
    assert Server().listen == health.LISTEN
    assert str(DEFAULT_CONFIG) == health.CONFIG

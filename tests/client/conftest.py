"""Each test has a folder, a state folder and an environment of its own."""

import json
import os
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@pytest.fixture(autouse=True)
def _own_place(tmp_path, tmp_path_factory, monkeypatch):
    for name in list(os.environ):
        if name.startswith(("LESSLLM_", "OPENAI_", "ANTHROPIC_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
    monkeypatch.chdir(tmp_path)


@dataclass
class Stub:
    """What a collector would answer, by method and path; and what it was asked."""

    url: str
    answers: dict[tuple[str, str], "Answer"] = field(default_factory=dict)
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)

    def answers_with(self, method, path, body, status=200, content_type="application/json", **headers):
        """`body` is sent as it is, or as JSON. A list of pieces is a chunked answer that may break off."""
        headers = {"content-type": content_type, **{k.replace("_", "-"): v for k, v in headers.items()}}
        if isinstance(body, dict):
            body = json.dumps(body).encode()
        self.answers[method, path] = (status, headers, body)

    @property
    def last(self):
        return self.requests[-1]


Answer = tuple[int, dict[str, str], bytes | list[bytes | None]]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self):
        stub = self.server.stub
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        stub.requests.append((self.command, self.path, dict(self.headers), body))
        missing = (404, {}, b"")
        status, headers, answer = stub.answers.get((self.command, self.path.partition("?")[0]), missing)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("connection", "close")
        if isinstance(answer, bytes):
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)
        else:
            self._answer_in_pieces(answer)
        self.close_connection = True

    do_GET = do_POST = do_PATCH = _answer  # noqa: N815 - the base class's names

    def _answer_in_pieces(self, pieces):
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for piece in pieces:
            if piece is None:
                return  # broken off: no last chunk
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_):
        pass


@pytest.fixture
def stub():
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.stub = Stub(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.stub
        server.shutdown()
        thread.join()

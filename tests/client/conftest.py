"""An environment of the tests' own, a folder for each, a server to ask, and a stub where none is needed."""

import asyncio
import contextlib
import fcntl
import io
import json
import os
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from lessllm import Client, cli
from lessllm.demo.stage import configuration as demo_configuration
from lessllm.demo.traffic import send_all
from lessllm.demo.workload import make_lanes
from lessllm.simulator import running_simulator
from lessllm.state import ServerState


@pytest.fixture(scope="session", autouse=True)
def _own_environment(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("LESSLLM_", "OPENAI_", "ANTHROPIC_")):
                patch.delenv(name)
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@dataclass(frozen=True)
class Recorded:
    """A local server in use by this process, with a simulated provider behind it and some calls recorded."""

    client: Client
    url: str
    collector_url: str
    database: Path
    configuration: dict

    def query(self, sql):
        return self.client.query(sql)


@pytest.fixture(scope="session")
def recorded(tmp_path_factory):
    """Shared by all tests: they ask, and change nothing that others see."""
    with running_simulator() as provider_url:
        database = tmp_path_factory.mktemp("recorded") / "calls.duckdb"
        configuration = on_free_ports(database, provider_url)
        client = Client()
        client.configure(configuration)
        running = ServerState(database).running()
        asyncio.run(send_all(running.url, make_lanes(16, seed=1), lambda: None))
        yield Recorded(client, running.url, running.collector_url, database, configuration)
        client.shutdown()


def on_free_ports(database, provider_url="http://127.0.0.1:9"):
    return demo_configuration(provider_url, database)


@dataclass
class Stub:
    """What a collector would answer, by method and path; and what it was asked."""

    url: str
    answers: dict[tuple[str, str], "Answer"] = field(default_factory=dict)
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)

    def answers_with(self, method, path, body, status=200, content_type="application/json", **headers):
        """`body` is sent as it is, or as JSON. A list of pieces is chunked: None breaks off, ... hangs."""
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
            if piece is ...:
                self.connection.recv(1)  # until the client leaves
                return
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


@dataclass(frozen=True)
class Ran:
    """What a command left: its exit code and what it printed."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(capfdbinary, monkeypatch):
    """Runs `lessllm …` in this process. Its output is no terminal."""

    def run(*arguments, stdin=""):
        monkeypatch.setattr("sys.argv", ["lessllm", *map(str, arguments)])
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
        capfdbinary.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        for number, handler in handlers.items():
            signal.signal(number, handler)
        out, err = capfdbinary.readouterr()
        return Ran(ended.value.code, out.decode(), err.decode())

    return run


@pytest.fixture(scope="session")
def lessllm_command():
    """The command as it is installed."""
    return Path(sys.executable).with_name("lessllm")


@pytest.fixture
def terminal(lessllm_command):
    """Runs `lessllm …` in a terminal of some width; what it shows, escapes taken out."""

    def run(*arguments, columns=80):
        master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
        process = subprocess.Popen(
            [lessllm_command, *map(str, arguments)],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**environment, "TERM": "xterm-256color"},
        )
        os.close(slave)
        shown = b""
        with contextlib.suppress(OSError):  # EIO: the terminal's last user is gone
            while piece := os.read(master, 65536):
                shown += piece
        os.close(master)
        text = re.sub(rb"\x1b\[[0-9;?]*[a-zA-Z]", b"", shown).decode()
        return Ran(process.wait(30), text.replace("\r\n", "\n"), "")

    return run

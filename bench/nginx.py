"""nginx as a contender: `proxy_pass` with connections kept on both sides, nothing buffered, nothing logged.

One process without a master, on a port of its own. Its CPU time is that of a whole proxy: it reads the
client's request and writes the client's answer as well, which no other contender does.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HOW_TO_GET_IT = "RUNLEVEL=1 apt-get install nginx-light"  # in runlevel 1 the package starts no server
_START_S = 10.0
_CONFIGURATION = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr;
worker_rlimit_nofile 16384;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {folder}/client_body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    scgi_temp_path {folder}/scgi;
    uwsgi_temp_path {folder}/uwsgi;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    upstream bench {{
        server {upstream};
        keepalive 2000;
        keepalive_requests 1000000000;
        keepalive_timeout 600s;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass {scheme}://bench;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_request_buffering off;
            proxy_buffering off;
        }}
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Nginx:
    """It runs."""

    url: str
    pid: int


def program() -> str | None:
    """Its path, if it is installed."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")


def version() -> str:
    """Its version number."""
    command = [str(program()), "-v"]
    return (
        subprocess.run(command, capture_output=True, text=True, check=True).stderr.strip().rpartition("/")[2]
    )


@contextmanager
def running(upstream_url: str, core: int) -> Iterator[Nginx]:
    """On that core, while the block runs."""
    with tempfile.TemporaryDirectory(prefix="bench-nginx-") as folder:
        port = _free_port()
        scheme, _, upstream = upstream_url.partition("://")
        configuration = Path(folder) / "nginx.conf"
        configuration.write_text(
            _CONFIGURATION.format(folder=folder, port=port, scheme=scheme, upstream=upstream)
        )
        errors = Path(folder) / "error.log"
        with errors.open("wb") as stderr:
            process = subprocess.Popen(
                [str(program()), "-p", folder, "-e", "stderr", "-c", configuration], stderr=stderr
            )
        try:
            os.sched_setaffinity(process.pid, {core})
            _wait_until_ready(process, port, errors)
            yield Nginx(f"http://127.0.0.1:{port}", process.pid)
        finally:
            process.terminate()
            process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _wait_until_ready(process: "subprocess.Popen[bytes]", port: int, errors: Path) -> None:
    deadline_s = time.monotonic() + _START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=_START_S).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline_s:
                raise RuntimeError(f"nginx did not start: {errors.read_text().strip()}") from None
            time.sleep(0.02)
        else:
            return

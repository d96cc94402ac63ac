"""The ways from a client to the upstream that are compared, each running on the core that is measured.

An upstream's port enters; a `Way` leaves that says what to ask of whom, and whose CPU time counts. None but
LessLLM records anything. What can't be had raises `peers.Missing`.
"""

import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import nginx
import peers
import processes
import services
import traffic
import yaml
from processes import Tree
from services import Services

Command = Sequence[str | Path]

MODEL = "gpt-4o"
STREAMS = 4000  # what connection pools must hold, and more


@dataclass(frozen=True, slots=True)
class Cores:
    """Where what runs."""

    measured: set[int]  # the gateway
    load: set[int]  # the client and the upstream
    rest: set[int]  # collectors, if there are so many


@dataclass(frozen=True, slots=True)
class Way:
    """It runs."""

    port: int
    gateway: Tree | None = None  # None: nothing is in between
    path: bytes = b"/v1/chat/completions"
    model: bytes = MODEL.encode()
    headers: Sequence[bytes] = ()
    services: Services | None = None  # of LessLLM
    others: Sequence[Tree] = field(default=())  # what belongs to it and is not measured

    def request(self, size_bytes: int, *, is_stream: bool) -> bytes:
        """As bytes, with a body of this size."""
        body = traffic.chat_request(self.model, size_bytes, is_stream=is_stream)
        own = (b"host", b"content-length")
        lines = [b"%b: %b" % header for header in traffic.REQUEST_HEADERS if header[0] not in own]
        lines += [b"host: 127.0.0.1:%d" % self.port, b"content-length: %d" % len(body), *self.headers]
        return b"\r\n".join((b"POST %b HTTP/1.1" % self.path, *lines, b"", body))

    def trees(self) -> list[Tree]:
        """All that belongs to it."""
        return [*([] if self.gateway is None else [self.gateway]), *self.others]


Start = Callable[[int, Cores, Path], AbstractContextManager[Way]]  # a folder for logs and files


@contextmanager
def _direct(upstream: int, cores: Cores, folder: Path) -> Iterator[Way]:
    """Nothing in between: the client and the upstream are one process."""
    del cores, folder
    yield Way(upstream)


@contextmanager
def _nginx(upstream: int, cores: Cores, folder: Path) -> Iterator[Way]:
    del folder
    peers.of_debian("nginx", "nginx-light")
    (core,) = cores.measured
    with nginx.running(f"http://127.0.0.1:{upstream}", core) as proxy:
        yield Way(int(proxy.url.rpartition(":")[2]), Tree(proxy.pid))


@contextmanager
def _lessllm(upstream: int, cores: Cores, folder: Path) -> Iterator[Way]:
    with _services(upstream, cores, folder, {}) as running:
        collector = Tree(running.collector.pid)
        yield Way(running.gateway.port, Tree(running.gateway.pid), services=running, others=[collector])


@contextmanager
def _lessllm_alone(upstream: int, cores: Cores, folder: Path) -> Iterator[Way]:
    """Its collector is killed once the gateway is ready."""
    with _services(upstream, cores, folder, {}) as running:
        running.collector.kill()
        yield Way(running.gateway.port, Tree(running.gateway.pid), services=running)


@contextmanager
def _lessllm_socks(upstream: int, cores: Cores, folder: Path) -> Iterator[Way]:
    """dante is on the measured core, too, where nobody holds it up, and its time is not counted."""
    # Not microsocks: it lets small writes wait for delayed acknowledgements, 90 ms a call.
    program = peers.of_debian("danted", "dante-server")
    (port,) = services.free_ports(1)
    config = folder / "danted.conf"
    config.write_text(_DANTE.format(port=port))
    command: Command = [program, "-f", config, "-p", folder / "danted.pid"]
    with _listening("danted", command, port, cores, folder) as socks:
        proxy = {"socks_proxy": f"socks5://127.0.0.1:{port}", "no_proxy": []}
        with _services(upstream, cores, folder, {"proxy": proxy}) as running:
            collector = Tree(running.collector.pid)
            gateway = Tree(running.gateway.pid)
            yield Way(running.gateway.port, gateway, services=running, others=[collector, socks])


@contextmanager
def _tensorzero(upstream: int, cores: Cores, folder: Path) -> Iterator[Way]:
    python = peers.tensorzero()
    config, log = folder / "tensorzero.toml", folder / "tensorzero.log"
    config.write_text(_TENSORZERO.format(model=MODEL, upstream=upstream))
    command = [python, Path(__file__).with_name("serve_tensorzero.py"), config]

    def url() -> re.Match[str] | None:
        return re.search(r"^http://[^:]+:(\d+)", log.read_text(), re.MULTILINE)

    with processes.running(
        command, lambda: url() is not None, log=log, cores=cores.measured, environment=_environment()
    ) as gateway:
        said = url()
        assert said is not None  # noqa: S101 - it is ready
        model = f"tensorzero::model_name::{MODEL}".encode()
        yield Way(int(said[1]), gateway, path=b"/openai/v1/chat/completions", model=model)


@contextmanager
def _portkey(upstream: int, cores: Cores, folder: Path) -> Iterator[Way]:
    (port,) = services.free_ports(1)
    command: Command = [*peers.portkey(), f"--port={port}", "--headless"]
    headers = (
        b"x-portkey-provider: openai",
        b"x-portkey-custom-host: http://127.0.0.1:%d/v1" % upstream,
    )
    with _listening("portkey", command, port, cores, folder) as gateway:
        yield Way(port, gateway, headers=headers)


@contextmanager
def _litellm(upstream: int, cores: Cores, folder: Path) -> Iterator[Way]:
    (port,) = services.free_ports(1)
    parameters = {
        "model": f"openai/{MODEL}",
        "api_base": f"http://127.0.0.1:{upstream}/v1",
        "api_key": "none",
    }
    config = folder / "litellm.yaml"
    config.write_text(yaml.safe_dump({"model_list": [{"model_name": MODEL, "litellm_params": parameters}]}))
    command: Command = [peers.litellm(), "--config", config, "--host", "127.0.0.1", "--port", str(port)]
    with _listening("litellm", [*command, "--telemetry", "False"], port, cores, folder) as gateway:
        yield Way(port, gateway)


@contextmanager
def _services(upstream: int, cores: Cores, folder: Path, more: dict[str, object]) -> Iterator[Services]:
    document = {
        "providers": {"openai": {"base_url": f"http://127.0.0.1:{upstream}/v1"}},
        "gateway": {"measure_non_streaming": False},  # a plain call is to be one
        "pool": {"max_connections": STREAMS, "max_per_host": STREAMS},
    } | more
    placed = {"gateway": cores.measured, "collector": cores.rest}
    with (
        tempfile.TemporaryDirectory(prefix="lessllm-", dir=folder) as own,
        services.running(Path(own), document, cores=placed) as running,
    ):
        yield running


def _listening(
    name: str, command: Command, port: int, cores: Cores, folder: Path
) -> AbstractContextManager[Tree]:
    return processes.running(
        command,
        lambda: processes.is_listening(port),
        log=folder / f"{name}.log",
        cores=cores.measured,
        environment=_environment(),
    )


def _environment() -> dict[str, str]:
    return services.inherited() | {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",  # on loopback, for this run
        "LITELLM_MODE": "PRODUCTION",
        "NODE_ENV": "production",
    }


_DANTE = """
internal: 127.0.0.1 port = {port}
external: lo
clientmethod: none
socksmethod: none
client pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 }}
socks pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 }}
"""
_TENSORZERO = """
[gateway]
observability.enabled = false
[models."{model}"]
routing = ["upstream"]
[models."{model}".providers.upstream]
type = "openai"
model_name = "{model}"
api_base = "http://127.0.0.1:{upstream}/v1/"
api_key_location = "none"
"""

DIRECT, NGINX = "direct", "nginx"
LESSLLM, ALONE, SOCKS = "LessLLM", "LessLLM, collector down", "LessLLM, SOCKS"
TENSORZERO, PORTKEY, LITELLM = "TensorZero, logging off", "Portkey, no logging", "LiteLLM, no database"
WAYS: dict[str, Start] = {
    DIRECT: _direct,
    NGINX: _nginx,
    LESSLLM: _lessllm,
    ALONE: _lessllm_alone,
    SOCKS: _lessllm_socks,
    TENSORZERO: _tensorzero,
    PORTKEY: _portkey,
    LITELLM: _litellm,
}

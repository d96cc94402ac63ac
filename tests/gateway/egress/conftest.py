"""For tests of the way out: both event loops, an authority's certificates, and what must not be left."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme
import uvloop
from gateway.egress.servers import HOST, until


def pytest_asyncio_loop_factories():
    """Every asynchronous test runs under the loop of Python's own and the one that serves."""
    return {"asyncio": asyncio.SelectorEventLoop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


def server_context(authority: trustme.CA, *names: str, **options) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names, **options).configure_cert(context)
    return context


@pytest.fixture(scope="session")
def serving(authority) -> ssl.SSLContext:
    """For a server on this machine."""
    return server_context(authority, "localhost", HOST)


@pytest.fixture(scope="session")
def trusting(authority) -> ssl.SSLContext:
    """For a client that trusts the authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    return context


@pytest.fixture
async def nothing_left() -> AsyncIterator[None]:
    """Neither a task nor a socket more than before."""
    before = sockets()
    yield
    await until(lambda: asyncio.all_tasks() == {asyncio.current_task()})
    await until(lambda: sockets() <= before)


def sockets() -> int:
    names = [link.readlink().name for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    return sum(name.startswith("socket:") for name in names)

"""One local server, from its plan to its end: claimed, started, announced, supervised, stopped.

`lessllm server` runs it in the foreground, `background` behind Python processes. The claim on the
database's state folder is held throughout, so that nobody starts a second server beside it.
"""

import asyncio
import contextlib
import errno
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path

from lessllm import state
from lessllm.errors import ServerError
from lessllm.plan import Plan, Service
from lessllm.supervisor import Say, Supervisor


async def serve(
    plan: Plan, folder: state.ServerState, *, stays: bool, on_ready: Callable[[state.Running], None], say: Say
) -> None:
    """Runs until SIGINT, SIGTERM or SIGHUP or, unless it `stays`, until its last user is gone.

    Raises ServerError; StartFailed has the exit code of the service that did not start.
    """
    stop = asyncio.Event()
    with folder.claim() as claim, tempfile.TemporaryDirectory(prefix="lessllm-") as ipc_folder:
        services = plan.services(Path(ipc_folder))
        _check_ports(services)
        supervisor = Supervisor(services, say)
        with _signals(stop, supervisor, say), folder.lease() as lease:
            if not stays:
                _stop_when_unused(lease, stop)
            try:
                await _until(stop, supervisor.start())
                if not stop.is_set():
                    on_ready(_announce(claim, plan, services, stays))
                    await _until(stop, supervisor.keep_running())
            finally:
                state.withdraw(claim)
                await supervisor.stop()


def _announce(claim: state.Lock, plan: Plan, services: Sequence[Service], stays: bool) -> state.Running:
    urls = {service.name: service.url for service in services}
    return state.announce(
        claim,
        identity=plan.identity,
        url=urls["gateway"],
        collector_url=urls.get("collector"),
        database=plan.database,
        stays=stays,
    )


async def _until(stop: asyncio.Event, work: Coroutine[None, None, None]) -> None:
    """Does `work`, or less of it if `stop` is set before it is done."""
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
    finally:
        working.cancel()
        stopping.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)


def _stop_when_unused(lease: state.Lock, stop: asyncio.Event) -> None:
    """The lock comes when no process holds a lease any more; then it is kept, so that none is taken."""
    loop = asyncio.get_running_loop()

    def wait() -> None:
        lease.wait_exclusive()
        with contextlib.suppress(RuntimeError):  # the loop is closed: stopped for another reason
            loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=wait, name="lease", daemon=True).start()


@contextlib.contextmanager
def _signals(stop: asyncio.Event, supervisor: Supervisor, say: Say) -> Iterator[None]:
    """The first signal stops in order, a further one at once. SIGHUP stays ignored under nohup."""
    loop = asyncio.get_running_loop()
    signals = [
        number
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN
    ]

    def handle() -> None:
        if stop.is_set():
            supervisor.kill()
        else:
            say("stopping: calls that run may end first; once more to stop at once")
        stop.set()

    for number in signals:
        loop.add_signal_handler(number, handle)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


def _check_ports(services: Sequence[Service]) -> None:
    """Before anything starts, since another program at our port could pass for our service."""
    for service in services:
        family = socket.AF_INET6 if ":" in service.host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((service.host, service.port))
            except OSError as error:
                raise ServerError(_no_port(service, error)) from None


def _no_port(service: Service, error: OSError) -> str:
    where = f"the {service.name} can't listen on {service.host} port {service.port}"
    option = "--port" if service.name == "gateway" else "--collector-port"
    remedy = f"choose another with {service.name}.port in the configuration, or {option}"
    if error.errno != errno.EADDRINUSE:
        return f"{where}: {error.strerror}; {remedy}"
    for running in state.all_running():
        if service.url in (running.url, running.collector_url):
            return f"{where}: the LessLLM server for {running.database} has it; {remedy}"
    return f"{where}: another program has it; {remedy}"

"""The proxies that there are: squid, dante, microsocks, tinyproxy and pproxy, with their configurations.

Names of programs enter, running proxies leave, by the name of their program and kind: `squid-password-https`.
`.ci/e2e-proxies` installs what pip does not. What the programs do differently, others' proxies do too.
"""

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from e2e.processes import free_port
from e2e.proxies import FORBIDDEN_PORT, PASSWORD, PLAIN_PASSWORD, USER, Bench, Proxies, Proxy
from e2e.upstream import certificate

# pproxy's own command trusts asyncio, or uvloop where it is installed, to make an event loop; neither does.
PPROXY = "import asyncio, sys, pproxy.server as s; sys.modules['uvloop'] = None; "
PPROXY += "asyncio.set_event_loop(asyncio.new_event_loop()); s.main()"


@contextlib.contextmanager
def running_proxies(*names: str) -> Iterator[Proxies]:
    """The proxies of these programs, or of all, while the block runs."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="proxies-")))
        folder.chmod(0o777)  # squid writes its log as another user
        bench = Bench(folder, certificate(folder), stack)
        found: Proxies = {}
        for name in names or PROGRAMS:
            found.update(PROGRAMS[name](bench, name))
        yield found


SQUID = """
http_port 127.0.0.1:{0}
http_port 127.0.0.1:{1} name=password-http
https_port 127.0.0.1:{2} tls-cert={pem_file}
https_port 127.0.0.1:{3} tls-cert={pem_file} name=password-https
auth_param basic program /usr/lib/squid/basic_ncsa_auth {users}
auth_param basic children 2 startup=1
acl wants_password myportname password-http password-https
acl user proxy_auth REQUIRED
acl forbidden port {forbidden}
http_access deny wants_password !user
http_access deny forbidden
http_access allow all
logformat seen %>lp %un %rm %ru %>Hs
access_log stdio:{log} logformat=seen
buffered_logs off
cache deny all
cache_log {folder}/squid-cache.log
pid_filename none
pinger_enable off
shutdown_lifetime 0 seconds
visible_hostname proxy.test
"""


def _squid(bench: Bench, name: str) -> Proxies:
    """All four ports are one program's."""
    names = (f"{name}-http", f"{name}-password-http", f"{name}-https", f"{name}-password-https")
    ports = [free_port() for _ in names]
    log = bench.folder / "squid-access.log"
    text = SQUID.format(
        *ports,
        folder=bench.folder,
        forbidden=FORBIDDEN_PORT,
        log=log,
        pem_file=bench.certificate.pem_file,
        users=bench.write("squid-users", f"{USER}:{_apache_hash(PASSWORD)}"),
    )
    program = bench.start(name, ["squid", "-N", "-f", bench.write("squid.conf", text)], ports[-1])
    return {
        name: Proxy(
            kind,
            port,
            program,
            tunnel=f"^{port} {{user}} CONNECT {{host}}:{{port}} 200$",
            forward=f"^{port} {{user}} POST http://{{host}}:{{port}}/v1/chat/completions 200$",
            password=PASSWORD if "password" in name else None,
            access_log=log,
            ca_file=bench.certificate.ca_file if kind == "https" else None,
        )
        for name, port, kind in zip(names, ports, ("http", "http", "https", "https"), strict=True)
    }


def _apache_hash(password: str) -> str:
    command = ["openssl", "passwd", "-apr1", "-stdin"]
    return subprocess.run(command, input=password, capture_output=True, text=True, check=True).stdout


DANTE = """
internal: 127.0.0.1 port = {port}
external: lo
logoutput: stderr
clientmethod: none
socksmethod: {method}
user.privileged: root
user.unprivileged: nobody
client pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 }}
socks block {{ from: 127.0.0.0/8 to: 0.0.0.0/0 port = {forbidden} }}
socks pass {{
  from: 127.0.0.0/8 to: 0.0.0.0/0
  protocol: tcp
  proxyprotocol: socks_v4 socks_v5
  log: connect
}}
"""


def _dante(bench: Bench, name: str) -> Proxies:
    return _dante_with(bench, name, "none", ("socks4", "socks5", "socks5h"))


def _dante_password(bench: Bench, name: str) -> Proxies:
    user = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", USER]
    subprocess.run(user, check=True)
    bench.stack.callback(subprocess.run, ["userdel", USER], check=True)
    subprocess.run(["chpasswd"], input=f"{USER}:{PASSWORD}\n", text=True, check=True)
    return _dante_with(bench, name, "username", ("socks5", "socks5h"), PASSWORD)


def _dante_with(
    bench: Bench, name: str, method: str, kinds: tuple[str, ...], password: str | None = None
) -> Proxies:
    port = free_port()
    text = DANTE.format(port=port, method=method, forbidden=FORBIDDEN_PORT)
    command = ["danted", "-f", bench.write(f"{name}.conf", text), "-p", bench.folder / f"{name}.pid"]
    user = "username%{user}@" if password else ""
    line = rf"tcp/connect \[: {user}127.0.0.1.\d+ 127.0.0.1.{port} -> \S+ {{host}}.{{port}}$"
    return _of_kinds(kinds, Proxy("", port, bench.start(name, command, port), line, password=password), name)


def _microsocks(bench: Bench, name: str) -> Proxies:
    return _microsocks_with(bench, name)


def _microsocks_password(bench: Bench, name: str) -> Proxies:
    return _microsocks_with(bench, name, PASSWORD)


def _microsocks_with(bench: Bench, name: str, password: str | None = None) -> Proxies:
    port = free_port()
    user = ["-u", USER, "-P", password] if password else []
    program = bench.start(name, ["microsocks", "-i", "127.0.0.1", "-p", str(port), *user], port)
    proxy = Proxy("", port, program, r"connected to {host}:{port}$", password=password)
    return _of_kinds(("socks5", "socks5h"), proxy, name)


TINYPROXY = """
Listen 127.0.0.1
Port {port}
LogLevel Connect
BasicAuth {user} {password}
"""


def _tinyproxy(bench: Bench, name: str) -> Proxies:
    port = free_port()
    config = bench.write("tinyproxy.conf", TINYPROXY.format(port=port, user=USER, password=PLAIN_PASSWORD))
    program = bench.start(name, ["tinyproxy", "-d", "-c", config], port)
    line = r"Request \(file descriptor \d+\): "
    proxy = Proxy(
        "http",
        port,
        program,
        tunnel=line + "CONNECT {host}:{port} HTTP/1.1$",
        forward=line + "POST http://{host}:{port}/v1/chat/completions HTTP/1.1$",
        keeps_alive=False,
        password=PLAIN_PASSWORD,
    )
    return {f"{name}-password-http": proxy}


def _pproxy(bench: Bench, name: str) -> Proxies:
    """What has only one server above."""
    ports = {kind: free_port() for kind in ("socks4", "http+ssl")}
    listen = [f"-l{kind}://127.0.0.1:{port}/" for kind, port in ports.items()]
    listen[-1] += f"#{USER}:{PLAIN_PASSWORD}"
    command = [sys.executable, "-u", "-c", PPROXY, "-v", "--ssl", str(bench.certificate.pem_file), *listen]
    program = bench.start(name, command, ports["http+ssl"])
    line = r"^{kind} 127.0.0.1:\d+ -> {{host}}:{{port}}$"
    return {
        f"{name}-socks4": Proxy("socks4", ports["socks4"], program, line.format(kind="socks4")),
        f"{name}-password-https": Proxy(
            "https",
            ports["http+ssl"],
            program,
            tunnel=line.format(kind="http"),
            forward=line.format(kind="http"),
            logs_requests=False,
            password=PLAIN_PASSWORD,
            ca_file=bench.certificate.ca_file,
        ),
    }


def _of_kinds(kinds: tuple[str, ...], proxy: Proxy, name: str) -> Proxies:
    """A program that is several kinds of proxy at one port."""
    return {f"{name}-{kind}": replace(proxy, kind=kind) for kind in kinds}


PROGRAMS: dict[str, Callable[[Bench, str], Proxies]] = {
    "squid": _squid,
    "dante": _dante,
    "dante-password": _dante_password,
    "microsocks": _microsocks,
    "microsocks-password": _microsocks_password,
    "tinyproxy": _tinyproxy,
    "pproxy": _pproxy,
}

"""What one attempt at an upstream leaves behind: how far it came, and how long each phase took."""

from dataclasses import dataclass
from enum import StrEnum

from lessllm_shared.record import NetworkMarks


class Phase(StrEnum):
    """Where an attempt is, in order."""

    POOL = "pool"  # waiting for a free connection
    DNS = "dns"
    CONNECT = "connect"  # TCP, to the upstream or the proxy
    PROXY_HANDSHAKE = "proxy_handshake"  # TLS to the proxy, then CONNECT or SOCKS
    TLS = "tls"  # with the upstream
    SEND = "send"
    WAIT = "wait"  # for the answer's first byte
    RECEIVE = "receive"
    DONE = "done"


@dataclass(slots=True)
class Exchange:
    """Durations and `time.monotonic_ns` marks; None for what did not happen or can't be seen."""

    phase: Phase = Phase.POOL
    pool_wait_ns: int | None = None
    dns_ns: int | None = None
    tcp_connect_ns: int | None = None
    proxy_handshake_ns: int | None = None
    tls_ns: int | None = None
    reused: bool | None = None
    remote_dns: bool | None = None  # the proxy resolves the upstream's name
    round_trip_ns: int | None = None  # of the connection, measured when it was opened
    send_start: int | None = None
    sent: int | None = None
    head: int | None = None  # the answer's head was read

    def durations_ns(self) -> list[tuple[Phase, int]]:
        """Of the phases that happened, in order, up to the answer's head."""
        durations = (
            (Phase.POOL, self.pool_wait_ns),
            (Phase.DNS, self.dns_ns),
            (Phase.CONNECT, self.tcp_connect_ns),
            (Phase.PROXY_HANDSHAKE, self.proxy_handshake_ns),
            (Phase.TLS, self.tls_ns),
            (Phase.SEND, _between(self.send_start, self.sent)),
            (Phase.WAIT, _between(self.sent, self.head)),
        )
        return [(phase, duration_ns) for phase, duration_ns in durations if duration_ns is not None]

    def server_timing(self) -> bytes:
        """The same, as the value of a Server-Timing header (W3C)."""
        return ", ".join(f"{phase};dur={ns / 1e6:.3f}" for phase, ns in self.durations_ns()).encode()

    def marks(self) -> NetworkMarks:
        """For the record."""
        return NetworkMarks(
            pool_wait_ns=self.pool_wait_ns,
            dns_ns=self.dns_ns,
            tcp_connect_ns=self.tcp_connect_ns,
            proxy_handshake_ns=self.proxy_handshake_ns,
            tls_ns=self.tls_ns,
            connection_reused=self.reused,
            remote_dns=self.remote_dns,
            round_trip_ns=self.round_trip_ns,
        )


def _between(start: int | None, end: int | None) -> int | None:
    return None if start is None or end is None else end - start

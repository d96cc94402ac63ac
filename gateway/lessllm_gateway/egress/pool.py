"""Open connections, kept for the next call: at most so many at all, and so many to one place.

Asked for a place, it lends an idle connection, dials a new one, or waits its turn: first come, first
served. Every decision is made in synchronous functions, between which nothing else happens. An idle
connection that its server closes is forgotten at once, one that is idle too long is closed.
"""

import asyncio
import time
from collections import Counter, deque
from dataclasses import dataclass, field

import httpx

from lessllm_gateway.egress.connection import Connection
from lessllm_gateway.egress.dialer import Dialer, Place
from lessllm_gateway.egress.exchange import Exchange
from lessllm_gateway.metrics import CONNECTIONS_OPENED


class PoolFull(httpx.PoolTimeout):
    """No connection became free in time. Its text says which limit was reached."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one pool may hold."""

    connections: int
    per_place: int
    keepalive_s: float


@dataclass(slots=True, eq=False)
class _Turn:
    """Somebody who waits: for a connection, or (None) for the room to dial one."""

    place: Place
    given: "asyncio.Future[Connection | None]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Pool:
    """Belongs to one event loop."""

    def __init__(self, dialer: Dialer, limits: Limits) -> None:
        self._dialer = dialer
        self._limits = limits
        self._idle: dict[Place, deque[Connection]] = {}  # the one used last is at the end
        self._open: Counter[Place] = Counter()  # lent, idle and being dialled
        self._places: dict[Connection, Place] = {}
        self._turns: deque[_Turn] = deque()
        self._sweeper: asyncio.TimerHandle | None = None

    @property
    def open_count(self) -> int:
        """Connections that are open or being dialled."""
        return self._open.total()

    @property
    def idle_count(self) -> int:
        """Connections that nobody uses."""
        return sum(map(len, self._idle.values()))

    @property
    def waiting_count(self) -> int:
        """Calls that wait for a connection."""
        return len(self._turns)

    async def lend(self, place: Place, exchange: Exchange, wait_s: float) -> Connection:
        """A connection to use alone, until `give_back`. Raises PoolFull and DialError."""
        start = time.monotonic_ns()
        connection = self._take_idle(place)
        try:
            if connection is None and not self._claim(place):
                connection = await self._turn(place, wait_s)
        finally:
            exchange.pool_wait_ns = time.monotonic_ns() - start
        exchange.reused = connection is not None
        if connection is None:
            return await self._dial(place, exchange)
        exchange.round_trip_ns = connection.round_trip_ns
        return connection

    def give_back(self, connection: Connection) -> None:
        """The call is done with it. A connection in the middle of something is closed.

        Whether it is still good is asked when it is lent again.
        """
        if not connection.finish() or (self._turns and not connection.is_usable):
            connection.close()
            self._forget(connection)
            return
        place = self._places[connection]
        for turn in self._waiting():
            if turn.place == place:
                self._turns.remove(turn)
                turn.given.set_result(connection)
                return
            if self._open[turn.place] < self._limits.per_place:  # it waits for room, which this one takes
                connection.close()
                self._forget(connection)
                return
        connection.idle_since_s = time.monotonic()
        self._idle.setdefault(place, deque()).append(connection)
        if self._sweeper is None:
            self._sweep_in(self._limits.keepalive_s)

    async def close(self) -> None:
        """Close every connection, and wait until that is done."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        connections = tuple(self._places)
        for connection in connections:
            connection.close()
        await asyncio.gather(*(connection.wait_closed() for connection in connections))

    def _take_idle(self, place: Place) -> Connection | None:
        idle = self._idle.get(place)
        while idle:
            connection = idle.pop()
            if connection.is_usable:
                return connection
            connection.close()
            self._drop(connection)
        return None

    def _claim(self, place: Place) -> bool:
        """Whether there is room to dial one more; if so, it is the caller's."""
        if self._open[place] >= self._limits.per_place:
            return False
        if self.open_count >= self._limits.connections and not self._evict():
            return False
        self._open[place] += 1
        return True

    def _evict(self) -> bool:
        """Close the connection that is idle longest, wherever it leads."""
        oldest = min(
            (idle[0] for idle in self._idle.values() if idle), key=lambda c: c.idle_since_s, default=None
        )
        if oldest is None:
            return False
        oldest.close()
        self._drop(oldest)
        return True

    async def _turn(self, place: Place, wait_s: float) -> Connection | None:
        turn = _Turn(place)
        self._turns.append(turn)
        try:
            async with asyncio.timeout(wait_s):
                return await turn.given
        except BaseException as error:
            if turn in self._turns:
                self._turns.remove(turn)
            elif (connection := turn.given.result()) is not None:  # given, and not wanted any more
                self.give_back(connection)
            else:
                self._release(place)
            if isinstance(error, TimeoutError):
                raise PoolFull(self._full(place)) from None
            raise

    async def _dial(self, place: Place, exchange: Exchange) -> Connection:
        """The room for it is claimed."""
        connection = Connection()
        try:
            await self._dialer.dial(place, connection, exchange)
        except BaseException:
            self._release(place)
            raise
        CONNECTIONS_OPENED.inc()
        self._places[connection] = place
        connection.opened(self._forget, exchange.round_trip_ns)
        return connection

    def _forget(self, connection: Connection) -> None:
        """It is closed. Heard of once or twice."""
        if self._drop(connection):
            self._serve()

    def _drop(self, connection: Connection) -> bool:
        place = self._places.pop(connection, None)
        if place is None:
            return False
        if (idle := self._idle.get(place)) and connection in idle:
            idle.remove(connection)
        self._uncount(place)
        return True

    def _release(self, place: Place) -> None:
        """Room that was claimed is not used."""
        self._uncount(place)
        self._serve()

    def _uncount(self, place: Place) -> None:
        self._open[place] -= 1
        if not self._open[place]:
            del self._open[place]

    def _serve(self) -> None:
        """There is room: for the first who can use it, and so on."""
        for turn in self._waiting():
            if self._claim(turn.place):
                self._turns.remove(turn)
                turn.given.set_result(None)

    def _waiting(self) -> list[_Turn]:
        """Without those that were cancelled, but have not left yet."""
        return [turn for turn in self._turns if not turn.given.done()]

    def _sweep_in(self, delay_s: float) -> None:
        self._sweeper = asyncio.get_running_loop().call_later(delay_s, self._sweep)

    def _sweep(self) -> None:
        self._sweeper = None
        oldest_s = time.monotonic() - self._limits.keepalive_s
        idle = [connection for connections in self._idle.values() for connection in connections]
        for connection in idle:
            if connection.idle_since_s <= oldest_s:
                connection.close()
                self._forget(connection)
        since_s = [c.idle_since_s for c in idle if c.idle_since_s > oldest_s]
        if since_s:
            self._sweep_in(min(since_s) - oldest_s)

    def _full(self, place: Place) -> str:
        if self._open[place] >= self._limits.per_place:
            return f"all pool.max_per_host ({self._limits.per_place}) connections to it are in use"
        return f"all pool.max_connections ({self._limits.connections}) are in use"

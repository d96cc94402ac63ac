"""The pool in every order of events: limits hold, nobody waits in vain, nothing is lost."""

import asyncio
import random

import pytest
from gateway.egress.wires import Wire
from lessllm_gateway.egress import pool as pools
from lessllm_gateway.egress.answer import Broken
from lessllm_gateway.egress.connection import Connection
from lessllm_gateway.egress.dialer import DialError, Place
from lessllm_gateway.egress.exchange import Exchange, Phase
from lessllm_gateway.egress.hops import Origin
from lessllm_gateway.egress.pool import Limits, Pool, PoolFull

PLACES = [Place(None, Origin(is_tls=False, host=name, port=80)) for name in "abc"]
A, B, C = PLACES
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
LAST = OK.replace(b"200 OK", b"200 OK\r\nconnection: close")
LIMITS = Limits(connections=3, per_place=2, keepalive_s=30)
WAIT_S = 10


class Loop(asyncio.SelectorEventLoop):
    """Its time is the test's to say."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        super().__init__()

    def time(self) -> float:
        return self.now_s


class Dials:
    """A dialer whose connections come when the test says so."""

    def __init__(self) -> None:
        self.wires: list[Wire] = []
        self._dials: list[asyncio.Future[None]] = []

    @property
    def under_way(self) -> "list[asyncio.Future[None]]":
        return [dial for dial in self._dials if not dial.done()]

    async def dial(self, _, protocol, exchange):
        exchange.round_trip_ns = 7
        done = asyncio.get_running_loop().create_future()
        self._dials.append(done)
        await done
        self.wires.append(Wire(protocol))


class World:
    """A pool, its dialer, and calls that use it. Everything that can happen is a method with a number."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.limits = limits
        self.dials = Dials()
        self.pool = Pool(self.dials, limits)
        self.calls: list[asyncio.Task[None]] = []
        self.outcomes: list[str] = []

    @property
    def wires(self) -> list[Wire]:
        """Those that are not closed."""
        return [wire for wire in self.dials.wires if not wire.is_aborted]

    @property
    def asked(self) -> list[Wire]:
        """Those whose server is to answer."""
        return [wire for wire in self.wires if wire.protocol._answer is not None]

    async def _call(self, place: Place) -> None:
        connection = await self.pool.lend(place, Exchange(), WAIT_S)
        try:
            await connection.exchange("GET", b"GET", b"", Exchange())
            assert await connection.read() == b""
        finally:
            self.pool.give_back(connection)

    def _note(self, call: "asyncio.Task[None]") -> None:
        self.calls.remove(call)
        error = None if call.cancelled() else call.exception()
        self.outcomes.append("cancelled" if call.cancelled() else type(error).__name__)

    def ask(self, number: int) -> None:
        call = asyncio.get_running_loop().create_task(self._call(PLACES[number % len(PLACES)]))
        call.add_done_callback(self._note)
        self.calls.append(call)

    def leave(self, number: int) -> None:
        for call in chosen(self.calls, number):
            call.cancel()

    def reach(self, number: int) -> None:
        for dial in chosen(self.dials.under_way, number):
            dial.set_result(None)

    def miss(self, number: int) -> None:
        for dial in chosen(self.dials.under_way, number):
            dial.set_exception(DialError(Phase.CONNECT, "upstream_unreachable", "no connection"))

    def answer(self, number: int) -> None:
        for wire in chosen(self.asked, number):
            wire.receive(OK)

    def answer_last(self, number: int) -> None:
        for wire in chosen(self.asked, number):
            wire.receive(LAST)

    def answer_twice(self, number: int) -> None:
        for wire in chosen(self.wires, number):
            wire.receive(OK + OK)

    def end(self, number: int) -> None:
        for wire in chosen(self.wires, number):
            wire.end()

    def hear_of_end(self, number: int) -> None:
        for wire in chosen(self.wires, number):
            wire.hear_of_end()

    def pass_time(self, number: int) -> None:
        asyncio.get_running_loop().now_s += 2 * number

    async def breathe(self, number: int = 9) -> None:
        for _ in range(number):
            await asyncio.sleep(0)

    def check(self) -> None:
        """What holds between any two events."""
        pool, limits = self.pool, self.limits
        assert {"NoneType", "cancelled", "Broken", "DialError", "PoolFull"}.issuperset(self.outcomes)
        idle = [(place, connection) for place, kept in pool._idle.items() for connection in kept]
        assert all(0 < count <= limits.per_place for count in pool._open.values())
        assert pool.open_count == pool._open.total() <= limits.connections
        assert pool.idle_count == len(set(idle)) <= len(pool._places)
        assert all(pool._places[connection] == place for place, connection in idle)
        for turn in waiting(pool):
            at_limit = pool._open[turn.place] == limits.per_place
            assert at_limit or (pool.open_count == limits.connections and not idle)
            assert turn.place not in dict(idle)


def chosen(things: list, number: int) -> list:
    """One of them, or none."""
    return [things[number % len(things)]] if things else []


def waiting(pool: Pool) -> list:
    return [turn for turn in pool._turns if not turn.given.done()]


def check_order(before: list) -> None:
    """Of those who wait for the same, nobody is served before somebody who came earlier."""
    for place in PLACES:
        stayed = [turn for turn in before if turn.place == place and not turn.given.cancelled()]
        served = [turn.given.done() for turn in stayed]
        assert sorted(served, reverse=True) == served


EVENTS = dict.fromkeys(("breathe", "reach", "answer"), 8) | {"ask": 4, "pass_time": 2}
EVENTS |= dict.fromkeys(("leave", "miss", "answer_last", "answer_twice", "end", "hear_of_end"), 1)


async def live(world: World, script) -> None:
    for event, number in script:
        before = waiting(world.pool)
        happened = getattr(world, event)(number)
        if happened is not None:
            await happened
        world.check()
        check_order(before)
    for call in tuple(world.calls):
        call.cancel()
    await world.breathe()
    world.check()
    assert (world.pool.open_count, world.pool.waiting_count) == (world.pool.idle_count, 0)


@pytest.fixture(autouse=True)
def pool_time(monkeypatch):
    """The pool's clock is the loop's."""

    class Time:
        @staticmethod
        def monotonic() -> float:
            return asyncio.get_running_loop().time()

        @staticmethod
        def monotonic_ns() -> int:
            return int(asyncio.get_running_loop().time() * 1e9)

    monkeypatch.setattr(pools, "time", Time)


def run(main, limits: Limits = LIMITS) -> World:
    """A world's whole life, of which nothing may be left."""

    async def life() -> World:
        world = World(limits)
        await main(world)
        await world.pool.close()
        assert world.pool.open_count == world.pool.idle_count == 0
        assert not world.wires and not world.calls
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return world

    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(life())


@pytest.mark.parametrize("seed", range(20))
def test_in_any_order_of_events_the_limits_hold_and_nothing_is_lost(seed):
    chance = random.Random(seed)
    events = chance.choices([*EVENTS], [*EVENTS.values()], k=2000)
    script = [(event, chance.randrange(10)) for event in events]
    world = run(lambda world: live(world, script))
    assert len(set(world.outcomes)) == 5  # all that can come of a call


async def opened(world: World, *places: Place) -> list[Connection]:
    """Lent connections."""
    calls = [asyncio.ensure_future(world.pool.lend(place, Exchange(), WAIT_S)) for place in places]
    await world.breathe()
    for _ in calls:
        world.reach(0)
    return await asyncio.gather(*calls)


def test_the_connection_that_was_used_last_is_used_next_as_long_as_its_server_keeps_it():
    async def main(world):
        exchange = Exchange()
        first, second = await opened(world, A, A)
        world.pool.give_back(first)
        world.pool.give_back(second)
        assert await world.pool.lend(A, exchange, WAIT_S) is second
        assert (exchange.reused, exchange.round_trip_ns, world.pool.open_count) == (True, 7, 2)
        world.pool.give_back(second)
        world.wires[1].end()
        assert await world.pool.lend(A, Exchange(), WAIT_S) is first
        world.wires[0].hear_of_end()
        await world.breathe()
        assert world.pool.open_count == 0

    run(main)


def test_an_idle_connection_that_ends_or_speaks_is_forgotten_at_once():
    async def main(world):
        for connection in await opened(world, A, B):
            world.pool.give_back(connection)
        ended, speaking = world.wires
        ended.hear_of_end()
        speaking.receive(OK)
        await world.breathe()
        assert (world.pool.open_count, world.pool.idle_count) == (0, 0)

    run(main)


def test_the_one_that_is_idle_longest_makes_room_for_another_place():
    async def main(world):
        connections = await opened(world, A, B, A)
        for connection in connections:
            world.pool.give_back(connection)
            world.pass_time(1)
        await opened(world, C)
        assert [connection.is_closed for connection in connections] == [True, False, False]
        await opened(world, C)
        assert [connection.is_closed for connection in connections] == [True, True, False]
        assert (world.pool.open_count, world.pool.idle_count) == (3, 1)

    run(main, Limits(connections=3, per_place=3, keepalive_s=30))


def test_connections_that_are_idle_too_long_are_closed():
    async def main(world):
        first, second, third = await opened(world, A, A, B)
        for connection, use_s in ((first, 10), (second, 10), (third, 9)):
            world.pool.give_back(connection)
            asyncio.get_running_loop().now_s += use_s
        counts = []
        for _ in range(40):
            await world.breathe()
            counts.append(world.pool.open_count)
            asyncio.get_running_loop().now_s += 1
        assert counts == [3] + [2] * 10 + [1] * 10 + [0] * 19
        world.pool.give_back((await opened(world, C))[0])
        asyncio.get_running_loop().now_s += 30
        await world.breathe()
        assert world.pool.open_count == 0 and not world.wires

    run(main)


def test_a_connection_goes_to_who_waits_for_it_or_makes_room_for_who_waits_for_that():
    async def main(world):
        first, second = await opened(world, A, A)
        exchanges = [Exchange() for _ in range(2)]
        for_b = asyncio.ensure_future(world.pool.lend(B, exchanges[0], WAIT_S))
        for_a = asyncio.ensure_future(world.pool.lend(A, exchanges[1], WAIT_S))
        await world.breathe()
        assert world.pool.waiting_count == 2
        world.pass_time(2)
        world.pool.give_back(first)
        await world.breathe()
        assert first.is_closed and not for_a.done()
        world.reach(0)
        await for_b
        world.pass_time(1)
        world.pool.give_back(second)
        assert await for_a is second
        assert [exchange.pool_wait_ns for exchange in exchanges] == [4_000_000_000, 6_000_000_000]
        assert [exchange.reused for exchange in exchanges] == [False, True]

    run(main, Limits(connections=2, per_place=2, keepalive_s=30))


@pytest.mark.parametrize(
    ("limits", "text"),
    [(Limits(9, 2, 30), r"pool\.max_per_host \(2\)"), (Limits(2, 9, 30), r"pool\.max_connections \(2\)")],
)
def test_who_waits_too_long_is_told_which_limit_it_was(limits, text):
    async def main(world):
        await opened(world, A, A)
        call = asyncio.ensure_future(world.pool.lend(A, Exchange(), WAIT_S))
        await world.breathe()
        world.pass_time(5)
        with pytest.raises(PoolFull, match=text):
            await call
        assert (world.pool.open_count, world.pool.waiting_count) == (2, 0)

    run(main, limits)


@pytest.mark.parametrize("gives", ["a connection", "room"])
def test_what_is_given_to_somebody_who_leaves_in_that_moment_goes_to_the_next(gives):
    async def main(world):
        (connection,) = await opened(world, A)
        leaving, staying = (asyncio.ensure_future(world.pool.lend(A, Exchange(), WAIT_S)) for _ in range(2))
        await world.breathe()
        if gives == "room":
            connection.close()
        world.pool.give_back(connection)
        leaving.cancel()
        await world.breathe()
        world.reach(0)
        assert (await staying is connection) == (gives == "a connection")
        assert leaving.cancelled()

    run(main, Limits(connections=1, per_place=1, keepalive_s=30))


def test_who_leaves_is_passed_over_though_it_is_still_there():
    async def main(world):
        (connection,) = await opened(world, A)
        leaving, staying = (asyncio.ensure_future(world.pool.lend(A, Exchange(), WAIT_S)) for _ in range(2))
        await world.breathe()
        leaving.cancel()
        world.pool.give_back(connection)
        assert await staying is connection

    run(main, Limits(connections=1, per_place=1, keepalive_s=30))


@pytest.mark.parametrize("when", ["waited for", "idle"])
def test_a_connection_whose_end_is_not_heard_of_yet_is_replaced_at_once(when):
    async def main(world):
        (connection,) = await opened(world, A)
        (wire,) = world.wires
        if when == "idle":
            world.pool.give_back(connection)
            wire.end()
        call = asyncio.ensure_future(world.pool.lend(A, Exchange(), WAIT_S))
        await asyncio.sleep(0)
        if when != "idle":
            wire.end()
            world.pool.give_back(connection)
        await asyncio.sleep(0)
        assert (len(world.dials.under_way), world.pool.waiting_count) == (1, 0)
        world.reach(0)
        assert await call is not connection

    run(main, Limits(connections=1, per_place=1, keepalive_s=30))


def test_a_pool_that_is_closed_has_closed_what_was_lent_and_what_was_idle():
    async def main(world):
        lent, idle = await opened(world, A, B)
        world.pool.give_back(idle)
        await world.pool.close()
        assert lent.is_closed and idle.is_closed and not world.wires
        with pytest.raises(Broken):
            await lent.exchange("GET", b"", b"", Exchange())
        world.pool.give_back(lent)
        assert (world.pool.open_count, world.pool.idle_count) == (0, 0)

    run(main)

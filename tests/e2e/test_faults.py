"""Nothing is lost: gateways and collector are killed, stopped, frozen and cut off from each other, at random.

Afterwards each call that a client saw has exactly one row, and `delivery_gaps` names exactly those whose
content died with their gateway. SEED=… repeats the faults, but not the
moments at which they strike.
"""

import asyncio
import itertools
import os
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass

import duckdb
import httpx
import pytest
from e2e.fleet import GATEWAYS, SPOOLS, Call, Clients, Fleet
from e2e.processes import wait_for
from lessllm.simulator import running_simulator

PAUSE_S = 0.8  # between two faults of the same hand, at most
FAULT_S = 2.5  # how long one lasts, at most; what was ended takes a moment more to start
MOMENT_S = 2.0  # before a kill: `overflow` promises 0.1 s, on a machine that has time for it
CLOCKS_S = 0.1  # the wall clock's times, of two processes
SETTLE_S = 60.0
ALWAYS = {name for name, spool in zip(GATEWAYS, SPOOLS, strict=True) if spool == "always"}
DECKS = {
    "collector": [(kind, "collector") for kind in ["kill"] * 5 + ["stop"] * 3 + ["freeze"] * 4],
    "gateways": list(itertools.product(("kill", "kill", "stop", "freeze"), GATEWAYS)),
    "links": list(itertools.product(("cut", "cut", "stall"), GATEWAYS)),
}
SEED = os.environ["SEED"]


@dataclass
class Fault:
    """What happened, and until when it was felt."""

    kind: str
    target: str
    began_s: float
    ended_s: float = 0.0

    def touches(self, call: Call, margin_s: float = 0) -> bool:
        """Whether the call was under way while it happened, or had ended just before."""
        is_early = call.ended_s + margin_s < self.began_s
        return call.gateway == self.target and not is_early and call.began_s <= self.ended_s


class Hands:
    """Each plays its deck of faults, one after the other, at the same time as the others."""

    def __init__(self, fleet, seed):
        self._fleet = fleet
        self._seed = seed
        self.faults = []

    async def play(self):
        await asyncio.gather(*(self._play(name, random.Random(f"{self._seed} {name}")) for name in DECKS))

    async def _play(self, name, chance):
        for kind, target in chance.sample(DECKS[name], k=len(DECKS[name])):
            await asyncio.sleep(chance.uniform(0, PAUSE_S))
            fault = Fault(kind, target, time.time())
            self.faults.append(fault)
            await getattr(self, f"_{kind}")(target, chance.uniform(0, FAULT_S))
            fault.ended_s = time.time()

    async def _kill(self, target, lasts_s):
        self._fleet[target].kill()
        await asyncio.sleep(lasts_s)
        await asyncio.to_thread(self._fleet.start, target)

    async def _stop(self, target, lasts_s):
        await asyncio.to_thread(self._fleet[target].stop)
        await asyncio.sleep(lasts_s)
        await asyncio.to_thread(self._fleet.start, target)

    async def _freeze(self, target, lasts_s):
        process = self._fleet[target].popen
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(lasts_s)
        process.send_signal(signal.SIGCONT)

    async def _cut(self, target, lasts_s):
        await self._fleet.links[target].cut()
        await asyncio.sleep(lasts_s)
        await self._fleet.links[target].mend()

    async def _stall(self, target, lasts_s):
        self._fleet.links[target].stall()
        await asyncio.sleep(lasts_s)
        await self._fleet.links[target].mend()


@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", [SEED])
async def test_nothing_is_lost(tmp_path, seed):
    with running_simulator(time_scale=0.3, requests_per_minute=10**6) as url:
        fleet = Fleet(tmp_path, url)
        clients, hands = Clients(fleet), Hands(fleet, seed)
        try:
            for name in ("collector", *GATEWAYS):
                await asyncio.to_thread(fleet.start, name)
            for link in fleet.links.values():
                await link.mend()
            async with clients.calling():
                await hands.play()
            await asyncio.to_thread(settle, fleet)
            await asyncio.to_thread(fleet.stop)
        finally:
            fleet.kill()
            for link in fleet.links.values():
                await link.cut()
    Outcome(fleet.database, clients.calls, hands.faults).judge()
    for name in (*GATEWAYS, "collector"):
        assert "Traceback" not in (tmp_path / f"{name}.log").read_text()


def settle(fleet):
    """Wait until everything is in the database: of the gateways that run, and of those that were killed."""
    pending = lambda name: httpx.get(f"{fleet[name].url}/readyz", trust_env=False).json()["pending"]  # noqa: E731
    wait_for(lambda: not any(map(pending, GATEWAYS)), "records to be delivered", SETTLE_S)
    wait_for(lambda: len(list(fleet.spooled)) <= len(GATEWAYS), "leftovers to be adopted", SETTLE_S)


class Outcome:
    """What the database and the clients say, of the same calls."""

    def __init__(self, database, calls, faults):
        with duckdb.connect(str(database), read_only=True) as connection:
            rows = connection.execute(
                "SELECT request_id, gateway_id, sequence, session_id, end_reason, error_code,"
                " epoch(timestamp) AS t0_s, request_body IS NOT NULL AS has_request FROM api_calls"
            ).to_arrow_table()
            gaps = connection.execute("SELECT request_id FROM delivery_gaps").fetchall()
        self.rows = rows.to_pylist()
        self.gaps = [request_id for (request_id,) in gaps]
        self.by_id = {row["request_id"]: row for row in self.rows}
        self.killed = {row["request_id"]: row for row in self.rows if row["error_code"] == "gateway_killed"}
        self.calls = calls
        self.seen = {call.request_id: call for call in calls if call.request_id}
        self.faults = faults
        self.kills = [fault for fault in faults if fault.kind == "kill"]

    def judge(self):
        assert len(self.faults) >= 30
        assert len(self.calls) > 500, "there was no load"
        assert self.killed
        self.every_call_has_one_row()
        self.only_what_was_under_way_has_no_content()
        self.no_call_failed_for_its_record()

    def every_call_has_one_row(self):
        """Under numbers without a hole, whoever delivered them."""
        assert len(self.by_id) == len(self.rows)
        missing = self.seen.keys() - self.by_id.keys()
        assert not missing, [self.seen[request_id] for request_id in missing]
        sessions = Counter(row["session_id"] for row in self.rows if row["session_id"])
        assert sessions.keys() <= {call.session for call in self.calls}
        assert set(sessions.values()) == {1}
        for gateway_id in {row["gateway_id"] for row in self.rows}:
            numbers = sorted(row["sequence"] for row in self.rows if row["gateway_id"] == gateway_id)
            assert numbers == list(range(1, len(numbers) + 1))

    def only_what_was_under_way_has_no_content(self):
        """When its gateway was killed; and the view names exactly these."""
        assert Counter(self.gaps) == Counter(self.killed.keys())
        for request_id, row in self.killed.items():
            call = self.seen.get(request_id)
            if call is None:
                assert any(map(self._may_be(row), self.calls)), row
                continue
            assert not (call.is_whole and call.gateway in ALWAYS), call
            margin_s = MOMENT_S if call.is_whole else 0
            assert any(fault.touches(call, margin_s) for fault in self.kills), call
            assert row["has_request"] or call.gateway not in ALWAYS, call
        for call in self.calls:
            if call.is_whole and call.request_id not in self.killed:
                row = self.by_id[call.request_id]
                found = row["end_reason"], row["session_id"], row["has_request"]
                assert found == ("complete", call.session, True)

    def no_call_failed_for_its_record(self):
        """But only where its own gateway was ended; what had begun to answer, only where it was killed."""
        for call in self.calls:
            if call.error is not None:
                ended = {fault.kind for fault in self.faults if fault.touches(call)} & {"kill", "stop"}
                assert ended, call
                assert call.request_id is None or "kill" in ended, call

    def _may_be(self, row):
        """Whether that row may be of a call whose client has seen nothing of an answer."""
        return lambda call: (
            call.request_id is None
            and row["session_id"] in {None, call.session}
            and call.began_s - CLOCKS_S <= row["t0_s"] <= call.ended_s
            and any(fault.touches(call) for fault in self.kills)
        )

"""Workloads that a cache treats differently, each from its seed: neutral asks, in the order of their starts.

Gaps near a TTL keep a tenth of it away from it: when exactly a use begins and ends is no document's matter.
"""

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from cache_reference.calls import Json
from cache_reference.conversation import Ask, Turn, marked
from cache_reference.texts import KINDS, WORDS, text

Workload = Callable[["Scene"], list[Ask]]
MINUTE_S = 60.0


class Scene:
    """What a workload needs to know of where it runs: a seed, how many calls, the minimum, what flips."""

    def __init__(self, seed: int, calls: int, minimum: int, flips: tuple[Json, Json]) -> None:
        self.seed, self.calls, self.minimum, self.flips = seed, calls, minimum, flips
        self.rng = random.Random(f"scene {seed}")


def tools(seed: object, number: int) -> tuple[Json, ...]:
    """So many tools of about 120 tokens."""
    rng = random.Random(f"tools {seed}")
    return tuple(
        {
            "name": f"{rng.choice(WORDS)}_{each}",
            "description": text(f"tool {seed} {each}", 60),
            "schema": {
                "type": "object",
                "properties": {
                    word: {"type": "string", "description": text(f"{seed} {each} {word}", 12)}
                    for word in rng.sample(WORDS, 3)
                },
            },
        }
        for each in range(number)
    )


def agents(scene: Scene) -> list[Ask]:
    """Agents append turn by turn: an answer, uses of tools, their results; some turns have many."""
    asks: list[Ask] = []
    for agent in range(max(1, scene.calls // 20)):
        rng = random.Random(f"agent {scene.seed} {agent}")
        turns: tuple[Turn, ...] = (Turn("user", text(f"task {scene.seed} {agent}", rng.randint(50, 2000))),)
        at_s = rng.uniform(0, 120)
        ours = tools(scene.seed, 8)
        for step in range(20):
            seed = f"{scene.seed} {agent} {step}"
            answer = _uses(rng, seed, ours)
            asks.append(
                Ask(at_s, marked(turns), answer, text(f"agent {scene.seed}", 1500), ours, mark_system=True)
            )
            turns = (*turns, answer, _results(rng, seed, answer))
            at_s += rng.uniform(8, 40)
    return _in_order(asks, scene)


def _uses(rng: random.Random, seed: str, ours: tuple[Json, ...]) -> Turn:
    many = rng.choice((1, 1, 1, 2, 3, 12))
    uses = tuple(
        (f"call_{rng.getrandbits(40):010x}", rng.choice(ours)["name"], {"path": text(f"{seed} {each}", 8)})
        for each in range(many)
    )
    return Turn("assistant", text(f"thought {seed}", rng.randint(10, 80)), uses)


def _results(rng: random.Random, seed: str, answer: Turn) -> Turn:
    return Turn(
        "results",
        results=tuple(
            (use, text(f"result {seed} {use}", rng.randint(20, 900), rng.choice(KINDS)))
            for use, _, _ in answer.uses
        ),
    )


def shared_system(scene: Scene) -> list[Ask]:
    """Many users, each with an own question of any kind and length, behind one long system prompt."""
    system = text(f"shared {scene.seed}", max(3000, 3 * scene.minimum // 2))
    asks = []
    for at in range(scene.calls):
        size, kind = scene.rng.choice((10, 30, 100, 400, 2000)), scene.rng.choice(KINDS)
        question = Turn("user", text(f"question {scene.seed} {at}", size, kind))
        answer = Turn("assistant", text(f"answer {scene.seed} {at}", 60))
        asks.append(Ask(at * 4.0, (question,), answer, system, mark_system=True))
    return asks


def volatile(scene: Scene) -> list[Ask]:
    """The time of day leads the system prompt: nothing behind it is the same twice, but within a minute."""
    rest = text(f"volatile {scene.seed}", max(4000, 3 * scene.minimum // 2))
    begin = datetime(2026, 11, 25, 9, tzinfo=UTC)
    asks = []
    for at in range(scene.calls):
        now = begin + timedelta(seconds=at * 23)
        question = Turn("user", text(f"question {scene.seed} {at}", 40))
        answer = Turn("assistant", text(f"answer {scene.seed} {at}", 40))
        system = f"It is {now:%Y-%m-%d %H:%M}.\n{rest}"
        asks.append(Ask(at * 23.0, (question,), answer, system, mark_system=True))
    return asks


def reordered_tools(scene: Scene) -> list[Ask]:
    """Every third call has its tools in another order."""
    ours, rng = tools(f"order {scene.seed}", max(24, scene.minimum // 80)), scene.rng
    system = text(f"order {scene.seed}", 800)
    return [
        Ask(
            at * 6.0,
            (Turn("user", text(f"question {scene.seed} {at}", 50)),),
            Turn("assistant", text(f"answer {scene.seed} {at}", 40)),
            system,
            tuple(rng.sample(ours, len(ours))) if at % 3 == 2 else ours,
            mark_system=True,
        )
        for at in range(scene.calls)
    ]


def gaps(scene: Scene) -> list[Ask]:
    """Conversations whose turns are minutes apart: around 5 minutes, half an hour, an hour."""
    asks: list[Ask] = []
    for each in range(max(1, scene.calls // 8)):
        rng = random.Random(f"gaps {scene.seed} {each}")
        system = text(f"gaps {scene.seed} {each}", max(2000, 5 * scene.minimum // 4))
        turns: tuple[Turn, ...] = ()
        at_s = rng.uniform(0, 60)
        for step in range(8):
            seed = f"{scene.seed} {each} {step}"
            turns = (*turns, Turn("user", text(f"question {seed}", rng.randint(20, 300))))
            answer = Turn("assistant", text(f"answer {seed}", rng.randint(20, 300)))
            asks.append(
                Ask(at_s, marked(turns), answer, system, mark_system=True, ttl=("5m", "1h")[each % 2])
            )
            turns = (*turns, answer)
            at_s += MINUTE_S * rng.choice((1, 4, 4.4, 6, 26, 34, 53, 67))
    return _in_order(asks, scene)


def parallel(scene: Scene) -> list[Ask]:
    """Bursts of equal prefixes before the first is done; first streams that outlive those that follow."""
    asks: list[Ask] = []
    for burst in range(max(1, scene.calls // 10)):
        system = text(f"burst {scene.seed} {burst}", max(2500, 5 * scene.minimum // 4), KINDS[burst % 5])
        begin_s, long = burst * 700.0, burst % 2 == 0
        for each in range(10):
            seed = f"{scene.seed} {burst} {each}"
            asks.append(
                Ask(
                    begin_s + each * (20.0 if long or each > 5 else 0.1),
                    (Turn("user", text(f"question {seed}", 60)),),
                    Turn("assistant", text(f"answer {seed}", 100)),
                    system,
                    mark_system=True,
                    first_byte_s=1.5,
                    takes_s=150.0 if long and each == 0 else 3.0 + each % 3,
                )
            )
    return _in_order(asks, scene)


def failures(scene: Scene) -> list[Ask]:
    """Half of the calls fail, and are made again: what failed has written nothing."""
    asks: list[Ask] = []
    for each in range(max(1, scene.calls // 6)):
        system = text(f"failure {scene.seed} {each}", max(2000, 5 * scene.minimum // 4), KINDS[each % 5])
        for again in range(6):
            question = Turn("user", text(f"question {scene.seed} {each} {again // 2}", 60))
            answer = Turn("assistant", text(f"answer {scene.seed} {each} {again}", 60))
            at_s = each * 60.0 + again * 5
            asks.append(Ask(at_s, (question,), answer, system, mark_system=True, fails=again % 2 == 0))
    return _in_order(asks, scene)


def sliding_window(scene: Scene) -> list[Ask]:
    """A conversation that forgets: from time to time its oldest turns are left out."""
    system = text(f"window {scene.seed}", max(1500, scene.minimum))
    turns: tuple[Turn, ...] = ()
    asks = []
    for at in range(scene.calls):
        seed = f"{scene.seed} {at}"
        kind = scene.rng.choice(KINDS)
        turns = (*turns, Turn("user", text(f"question {seed}", scene.rng.randint(20, 500), kind)))
        answer = Turn("assistant", text(f"answer {seed}", scene.rng.randint(20, 300)))
        asks.append(Ask(at * 12.0, marked(turns), answer, system, mark_system=True))
        turns = (*turns, answer)
        if len(turns) > 24:
            turns = turns[-8:]
    return asks


def around_minimum(scene: Scene) -> list[Ask]:
    """Shared beginnings of 0.3 to 2 times the minimum, each with three questions, some of them long."""
    asks = []
    for each in range(max(1, scene.calls // 4)):
        share = scene.rng.choice((0.3, 0.6, 0.8, 0.9, 1.1, 1.2, 1.5, 2.0))
        kind = scene.rng.choice(KINDS)
        system = text(f"short {scene.seed} {each}", int(share * scene.minimum), kind)
        for again in range(4):
            size = scene.rng.choice((12, 12, 300))
            question = Turn(
                "user", text(f"question {scene.seed} {size} {each} {again // 2}", size), marked=True
            )
            answer = Turn("assistant", text(f"answer {scene.seed} {each} {again}", 20))
            asks.append(Ask(each * 25.0 + again * 6, (question,), answer, system, mark_system=True))
    return _in_order(asks, scene)


def flipped_settings(scene: Scene) -> list[Ask]:
    """A conversation whose settings go to and fro."""
    system = text(f"flip {scene.seed}", max(2000, 5 * scene.minimum // 4))
    turns: tuple[Turn, ...] = ()
    asks = []
    for at in range(scene.calls):
        if at % 12 == 0:
            turns = ()
        seed = f"{scene.seed} {at}"
        turns = (*turns, Turn("user", text(f"question {seed}", 80)))
        answer = Turn("assistant", text(f"answer {seed}", 80))
        flip = scene.flips[at // 3 % 2]
        asks.append(Ask(at * 9.0, marked(turns), answer, system, mark_system=True, extra=flip))
        turns = (*turns, answer)
    return asks


def several_keys(scene: Scene) -> list[Ask]:
    """Three keys say the same."""
    system = text(f"keys {scene.seed}", max(2500, 5 * scene.minimum // 4))
    return [
        Ask(
            at * 5.0,
            (Turn("user", text(f"question {scene.seed} {at // 3}", 60), marked=True),),
            Turn("assistant", text(f"answer {scene.seed} {at}", 40)),
            system,
            mark_system=True,
            key=scene.rng.choice("abc"),
        )
        for at in range(scene.calls)
    ]


def _in_order(asks: list[Ask], scene: Scene) -> list[Ask]:
    return sorted(asks, key=lambda ask: ask.at_s)[: scene.calls]


WORKLOADS: dict[str, Workload] = {
    "agents": agents,
    "shared system prompt": shared_system,
    "volatile time": volatile,
    "reordered tools": reordered_tools,
    "gaps": gaps,
    "parallel": parallel,
    "failures": failures,
    "sliding window": sliding_window,
    "around the minimum": around_minimum,
    "flipped settings": flipped_settings,
    "several keys": several_keys,
}


def all_of(scene: Callable[[int], Scene]) -> Iterator[tuple[str, list[Ask]]]:
    """Each workload by its name, with a scene of its own."""
    for at, (name, workload) in enumerate(WORKLOADS.items()):
        yield name, workload(scene(at))

"""When a proxy is set aside, who tries it again, and which way a call takes meanwhile."""

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from lessllm_gateway.egress.health import FIRST_BACKOFF_S, JITTER, LAST_BACKOFF_S, Health, Round


@dataclass
class Clock:
    now_s: float = 1000.0

    def __call__(self):
        return self.now_s


@dataclass(frozen=True)
class Way:
    name: str
    health: Health | None


def steady():
    """Without jitter."""
    return Health(draw=lambda: 0.5)


def proxies(names="AB", *, direct=False):
    return [*(Way(name, steady()) for name in names), *([Way("direct", None)] if direct else [])]


def tried(ways, clock, failing=""):
    """The ways that one call tries until one works; those that fail are reported."""
    passage, names = Round(ways, clock), ""
    while (way := passage.next()) is not None:
        names += way.name
        if way.name not in failing:
            passage.succeeded()
            break
        passage.failed()
    return names


def test_a_proxy_that_failed_is_passed_over_until_its_time_has_come():
    ways, clock = proxies(), Clock()
    assert tried(ways, clock) == "A"
    assert tried(ways, clock, failing="A") == "AB"
    assert not ways[0].health.is_up
    assert tried(ways, clock) == "B"
    clock.now_s += 1
    assert tried(ways, clock) == "A"
    assert ways[0].health.is_up


def test_it_is_set_aside_for_twice_as_long_each_time_up_to_a_minute():
    ways, clock, waits_s = proxies(), Clock(), []
    for _ in range(9):
        assert tried(ways, clock, failing="A") == "AB"
        waits_s.append(ways[0].health.due_s - clock.now_s)
        clock.now_s = ways[0].health.due_s
    assert waits_s == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert tried(ways, clock) == "A"
    assert tried(ways, clock, failing="A") == "AB"
    assert ways[0].health.due_s - clock.now_s == 1  # it had come back


def test_one_call_tries_it_again_and_the_others_go_elsewhere_meanwhile():
    ways, clock = proxies(), Clock()
    tried(ways, clock, failing="A")
    clock.now_s += 1
    probing = Round(ways, clock)
    assert probing.next().name == "A"
    assert tried(ways, clock) == "B"
    probing.failed()
    assert probing.next().name == "B"
    assert ways[0].health.due_s == clock.now_s + 2


def test_a_probe_that_says_nothing_leaves_it_to_the_next_call():
    ways, clock = proxies(), Clock()
    tried(ways, clock, failing="A")
    clock.now_s += 1
    for _ in range(2):
        probing = Round(ways, clock)
        assert probing.next().name == "A"
        probing.abandoned()
        probing.failed()  # the first report counts
    assert tried(ways, clock) == "A"


def test_a_probe_is_begun_when_its_way_is_taken_and_not_before():
    ways, clock = proxies(), Clock()
    tried(ways, clock, failing="B")
    tried(ways, clock, failing="AB")
    clock.now_s += 1
    assert Round(ways, clock).next().name == "A"
    assert tried(ways, clock) == "B"  # nobody else is trying it


def test_the_only_proxy_is_always_tried():
    ways, clock = proxies("A"), Clock()
    for _ in range(3):
        assert tried(ways, clock, failing="A") == "A"
    assert not ways[0].health.is_up
    assert tried(ways, clock) == "A"
    assert ways[0].health.is_up


def test_when_all_are_set_aside_the_one_whose_time_comes_first_is_tried_first():
    ways, clock = proxies("ABC"), Clock()
    assert tried(ways, clock, failing="C") == "A"
    ways[2].health.failed(ways[2].health.begin(clock.now_s), clock.now_s)
    clock.now_s += 0.1
    ways[1].health.failed(ways[1].health.begin(clock.now_s), clock.now_s)
    clock.now_s += 0.1
    assert tried(ways, clock, failing="ABC") == "ACB"
    due_s = [way.health.due_s for way in ways]
    assert tried(ways, clock, failing="CB") == "CBA"
    assert due_s[1:] == [way.health.due_s for way in ways[1:]]  # that they still failed was no news
    assert tried(ways, clock) == "A"


def test_a_way_that_comes_back_during_a_call_is_taken_in_its_place():
    ways, clock = proxies("ABC"), Clock()
    tried(ways, clock, failing="A")
    passage = Round(ways, clock)
    assert passage.next().name == "B"
    clock.now_s += 1
    passage.failed()
    assert [passage.next().name, passage.next().name, passage.next()] == ["A", "C", None]
    assert passage.is_over


def test_direct_is_never_set_aside_and_comes_before_proxies_that_are():
    ways, clock = proxies("A", direct=True), Clock()
    assert tried(ways, clock, failing="A direct") == "Adirect"
    assert tried(ways, clock, failing="A direct") == "directA"
    assert tried(ways, clock) == "direct"


def test_failures_together_are_one_failure():
    ways, clock = proxies(), Clock()
    together = [Round(ways, clock) for _ in range(100)]
    assert {passage.next().name for passage in together} == {"A"}
    for passage in together:
        passage.failed()
    assert ways[0].health.due_s == clock.now_s + 1


def test_a_failure_that_began_before_it_came_back_does_not_count():
    ways, clock = proxies(), Clock()
    slow = Round(ways, clock)
    slow.next()
    tried(ways, clock, failing="A")
    clock.now_s += 1
    probing = Round(ways, clock)
    probing.next()
    slow.failed()
    assert tried(ways, clock) == "B"  # the probe goes on
    probing.succeeded()
    assert tried(ways, clock) == "A"


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(["ABC", "AB", "C", ""])), max_size=20))
def test_every_way_is_offered_once_in_a_round_whatever_is_known(calls):
    ways, clock = proxies("ABC", direct=True), Clock()
    for waits, failing in calls:
        clock.now_s += 1.5 * waits
        assert len(names := tried(ways, clock, failing).replace("direct", "D")) == len(set(names))
    assert sorted(tried(ways, clock, "ABC direct").replace("direct", "D")) == list("ABCD")


class Knowing(RuleBasedStateMachine):
    """Calls that begin, fail, succeed and are cancelled in any order, over one proxy."""

    @initialize(draw=st.floats(0, 1, exclude_max=True))
    def start(self, draw):
        self.health = Health(draw=lambda: draw)
        self.now_s = 0.0
        self.open: list[int] = []
        self.probe: int | None = None

    @rule()
    def begin(self):
        was_up = self.health.is_up
        ticket = self.health.begin(self.now_s)
        if was_up:
            assert ticket is not None
        elif ticket is not None:
            assert self.now_s >= self.health.due_s
            assert self.probe is None, "two calls try it at the same time"
            self.probe = ticket
        else:
            assert self.now_s < self.health.due_s or self.probe is not None, "nobody may try it again"
        if ticket is not None:
            self.open.append(ticket)

    @rule(passed_s=st.floats(0, 100))
    def wait(self, passed_s):
        self.now_s += passed_s

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def succeed(self, data):
        self._end(data)
        self.health.succeeded()
        self.probe = None
        assert self.health.is_up

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def fail(self, data):
        was_up, due_s = self.health.is_up, self.health.due_s
        ticket = self._end(data)
        self.health.failed(ticket, self.now_s)
        if self.health.due_s != due_s:  # it was set aside by this
            assert was_up or ticket == self.probe
            assert not self.health.is_up
            backoff_s = self.health.due_s - self.now_s
            assert backoff_s + 1e-9 >= (1 - JITTER) * FIRST_BACKOFF_S
            assert backoff_s <= (1 + JITTER) * LAST_BACKOFF_S + 1e-9
            self.probe = None
        assert ticket != self.probe

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def abandon(self, data):
        before = self.health.is_up, self.health.due_s
        ticket = self._end(data)
        self.health.abandoned(ticket)
        assert before == (self.health.is_up, self.health.due_s)
        if ticket == self.probe:
            self.probe = None

    @invariant()
    def what_is_not_up_can_be_tried_some_time(self):
        assert self.health.is_up or self.health.due_s <= self.now_s + (1 + JITTER) * LAST_BACKOFF_S

    def _end(self, data):
        return self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))


Knowing.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestKnowing = Knowing.TestCase


def test_a_change_is_told_once():
    told = []
    health = Health(told.append, draw=lambda: 0.5)
    health.failed(health.begin(0.0), 0.0)
    health.failed(health.begin(2.0), 2.0)
    health.succeeded()
    health.succeeded()
    assert told == [False, True]

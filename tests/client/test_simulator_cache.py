"""The prompt caches of the simulated providers, rule by rule, with a clock of our own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lessllm.simulator.cache import Block, CacheWishes, PromptCache
from lessllm.simulator.models import CacheRules

PREFIX = CacheRules(kind="prefix", minimum_tokens=1024, step_tokens=128, idle_ttl_s=600, max_ttl_s=3600)
BREAKPOINTS = CacheRules(
    kind="breakpoints", minimum_tokens=1024, idle_ttl_s=1800, max_writes=4, max_lookups=80
)
MARKERS = CacheRules(kind="markers", minimum_tokens=1024, look_back_blocks=20)


class Clock:
    def __init__(self):
        self.now_s = 1000.0

    def __call__(self):
        return self.now_s


class Calls:
    """A cache, and calls that are over at once."""

    def __init__(self, rules, max_entries=1000):
        self.clock = Clock()
        self.rules = rules
        self.cache = PromptCache(self.clock, max_entries)

    def begin(self, *blocks, scope="key", **wishes):
        return self.cache.look_up(self.rules, scope, blocks, CacheWishes(**wishes))

    def __call__(self, *blocks, scope="key", **wishes):
        use = self.begin(*blocks, scope=scope, **wishes)
        self.cache.commit(use, self.rules)
        return use


def text(name, tokens, **fields):
    return Block(content=(name * (4 * tokens))[: 4 * tokens].encode(), **fields)


# --- OpenAI up to gpt-5.5 ------------------------------------------------------------------------


def test_a_prefix_is_read_in_steps_of_128_tokens_and_costs_nothing_to_write():
    call = Calls(PREFIX)
    assert call(text("a", 1500), text("b", 10)).read_tokens == 0
    again = call(text("a", 1500), text("c", 10))
    assert (again.read_tokens, again.written_tokens, again.prompt_tokens) == (1408, 0, 1510)


def test_a_prompt_below_the_minimum_is_never_read():
    call = Calls(PREFIX)
    call(text("a", 1023))
    assert call(text("a", 1023)).read_tokens == 0
    call(text("a", 1024))
    assert call(text("a", 1024)).read_tokens == 1024


def test_a_prefix_expires_when_idle_and_after_an_hour_whatever_its_use():
    call = Calls(PREFIX)
    call(text("a", 2048))
    for _ in range(6):
        call.clock.now_s += 590
        assert call(text("a", 2048)).read_tokens == 2048
    call.clock.now_s += 590  # more than 3600 s since it was written
    assert call(text("a", 2048)).read_tokens == 0
    call.clock.now_s += 601
    assert call(text("a", 2048)).read_tokens == 0


def test_another_key_or_model_reads_nothing():
    call = Calls(PREFIX)
    call(text("a", 2048), scope="one")
    assert call(text("a", 2048), scope="two").read_tokens == 0


def test_parallel_calls_with_a_new_prefix_all_miss():
    call = Calls(PREFIX)
    first, second = call.begin(text("a", 2048)), call.begin(text("a", 2048))
    assert first.read_tokens == second.read_tokens == 0


@given(st.integers(0, 4000), st.integers(0, 4000), st.integers(0, 300))
def test_a_prefix_cache_reads_exactly_the_common_steps(common, first_tail, second_tail):
    call = Calls(PREFIX)
    call(text("a", common), text("b", first_tail))
    use = call(text("a", common), text("c", second_tail))
    expected = common // 128 * 128
    assert use.read_tokens == (expected if expected >= 1024 else 0)


# --- OpenAI from gpt-5.6 -------------------------------------------------------------------------


def test_a_shared_prefix_alone_does_not_hit_where_no_request_wrote():
    call = Calls(BREAKPOINTS)
    shared = text("s", 2000)  # not eligible: nothing was written at its end
    first = call(shared, text("a", 50, eligible=True))
    assert (first.read_tokens, first.written_tokens) == (0, 2050)
    assert call(shared, text("b", 50, eligible=True)).read_tokens == 0


def test_an_explicit_breakpoint_makes_the_shared_prefix_hit_exactly():
    call = Calls(BREAKPOINTS)
    shared = text("s", 2001, marker_ttl_s=1800)
    call(shared, text("a", 50, eligible=True))
    use = call(shared, text("b", 60, eligible=True))
    assert (use.read_tokens, use.written) == (2001, {1800: 60})


def test_a_conversation_reads_what_its_last_turn_wrote():
    call = Calls(BREAKPOINTS)
    system, question = text("s", 1500), text("q", 20, eligible=True)
    call(system, question)
    use = call(system, question, text("a", 40), text("r", 30, eligible=True))
    assert (use.read_tokens, use.written_tokens) == (1520, 70)


def test_explicit_mode_writes_nothing_by_itself():
    call = Calls(BREAKPOINTS)
    question = text("q", 2000, eligible=True)
    assert call(question, implicit=False).written_tokens == 0
    assert call(question).read_tokens == 0


def test_at_most_three_explicit_breakpoints_are_written_beside_the_implicit_one():
    call = Calls(BREAKPOINTS)
    marked = [text(name, 1100, marker_ttl_s=1800) for name in "abcd"]
    call(*marked, text("q", 10, eligible=True))
    assert call(marked[0]).read_tokens == 0  # the earliest was not among the latest three
    assert call(marked[0], marked[1]).read_tokens == 2200


# --- Anthropic -----------------------------------------------------------------------------------


def test_without_a_marker_nothing_is_cached():
    call = Calls(MARKERS)
    call(text("a", 5000))
    use = call(text("a", 5000))
    assert (use.read_tokens, use.written_tokens) == (0, 0)


def test_a_marker_writes_once_and_reads_after():
    call = Calls(MARKERS)
    system = text("s", 1200, marker_ttl_s=300)
    assert call(system, text("a", 9)).written == {300: 1200}
    use = call(system, text("b", 9))
    assert (use.read_tokens, use.written, use.prompt_tokens) == (1200, {}, 1209)


def test_reading_refreshes_the_time_to_live():
    call = Calls(MARKERS)
    system = text("s", 1200, marker_ttl_s=300)
    call(system)
    for _ in range(3):
        call.clock.now_s += 299
        assert call(system).read_tokens == 1200
    call.clock.now_s += 300
    assert call(system).read_tokens == 0


def test_each_stretch_is_written_for_the_time_of_the_marker_at_its_end():
    call = Calls(MARKERS)
    use = call(text("s", 2000, marker_ttl_s=3600), text("m", 100, marker_ttl_s=300))
    assert use.written == {3600: 2000, 300: 100}


@pytest.mark.parametrize(("blocks_between", "read"), [(19, 1200), (20, 0)])
def test_a_marker_looks_back_twenty_blocks(blocks_between, read):
    call = Calls(MARKERS)
    call(text("s", 1200, marker_ttl_s=300))
    following = [text(str(i % 10), 10) for i in range(blocks_between - 1)]
    last = text("z", 10, marker_ttl_s=300)
    assert call(text("s", 1200), *following, last).read_tokens == read


def test_a_run_of_tool_results_counts_as_one_block():
    call = Calls(MARKERS)
    call(text("s", 1200, marker_ttl_s=300))
    results = [text(str(i % 10), 10, kind="tool_result") for i in range(40)]
    assert call(text("s", 1200), *results, text("z", 10, marker_ttl_s=300)).read_tokens == 1200


def test_a_short_prefix_is_silently_not_cached():
    call = Calls(MARKERS)
    assert call(text("s", 1023, marker_ttl_s=300)).written_tokens == 0
    assert call(text("s", 1023, marker_ttl_s=300)).read_tokens == 0


def test_the_least_recently_used_entries_make_room():
    call = Calls(MARKERS, max_entries=2)
    for name in "abc":
        call(text(name, 1100, marker_ttl_s=300))
    assert [call.begin(text(name, 1100, marker_ttl_s=300)).read_tokens for name in "abc"] == [0, 1100, 1100]


@given(
    st.sampled_from([PREFIX, BREAKPOINTS, MARKERS]),
    st.lists(
        st.lists(
            st.tuples(st.sampled_from("abc"), st.integers(0, 2000), st.booleans(), st.booleans()), max_size=6
        ),
        max_size=8,
    ),
)
def test_what_is_read_and_written_never_exceeds_the_prompt(rules, prompts):
    call = Calls(rules)
    for prompt in prompts:
        use = call(
            *(
                text(n, size, marker_ttl_s=300.0 if marked else None, eligible=e)
                for n, size, marked, e in prompt
            )
        )
        assert 0 <= use.read_tokens + use.written_tokens <= use.prompt_tokens

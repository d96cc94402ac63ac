"""GET /suggestions: what it looks at, how it is cut and filtered, what each suggestion says."""

import time

import pytest
from lessllm_collector.suggestions import reading
from lessllm_collector.suggestions.limits import MAX_BODY_BYTES

from .workload import T0, chat, openai, record, text


def timed(records_ago_s):
    """Seconds relative to T0 of a moment that long ago."""
    return time.time() - records_ago_s - T0


def volatile(count, ago_s, **fields):
    """A minute apart, ending so long ago."""
    return [
        record(
            f"{fields.get('model', '')}{fields.get('user_id', '')}{n}",
            timed(ago_s + 60 * (count - n)),
            chat(f"It is 10:{n:02}:07.\n{text('rules', 8000)}", text(f"q{n}", 50)),
            openai(8050),
            **fields,
        )
        for n in range(count)
    ]


async def ask(client, **parameters):
    response = await client.get("/suggestions", params=parameters)
    assert response.status_code == 200, response.text
    return response.json()


async def test_a_suggestion_says_what_was_found_where_what_it_costs_and_what_to_do(client, put):
    put(volatile(10, 3600))
    answer = await ask(client)
    assert (answer["calls"], answer["looked_at"], answer["cut"], answer["found"]) == (10, 10, False, 1)
    (found,) = answer["suggestions"]
    assert found["kind"] == "volatile_early_content"
    assert found["title"].startswith("A time in messages[0].content changes from call to call: the 7,9")
    assert (found["provider"], found["model"], found["calls"]) == ("openai", "gpt-4.1", 9)
    # 9 · 8,000 tokens · $2 per million · (1 - 0.25), all in less than a day
    assert found["loss_usd"] == answer["loss_usd"] == pytest.approx(0.108, rel=0.01)
    assert found["projected_30_days_usd"] == pytest.approx(30 * 0.108, rel=0.01)
    assert found["projection"] == "if the next 30 days go on like the day looked at"
    assert found["snippet"].startswith("messages = [")
    evidence = found["evidence"]
    assert evidence["request_ids"] == [f"r{n}" for n in range(9, 0, -1)]
    assert evidence["path"] == "messages[0].content"
    for side in ("before", "after"):
        excerpt = evidence[side]
        assert len(excerpt["text"]) <= 200
        assert "It is 10:0" in excerpt["text"]
        assert excerpt["text"][excerpt["start"] : excerpt["end"]].isdigit()
    assert evidence["before"]["text"] != evidence["after"]["text"]


async def test_calls_are_chosen_by_days_model_provider_and_user(client, put):
    put([*volatile(5, 3600, user_id="ann"), *volatile(5, 3 * 86_400, model="gpt-4o", user_id="bob")])
    assert (await ask(client))["calls"] == 10
    assert (await ask(client, days=1))["calls"] == 5
    for chosen in ({"model": "gpt-4o"}, {"user": "bob"}, {"provider": "openai", "user": "bob"}):
        answer = await ask(client, **chosen)
        assert answer["calls"] == 5
        assert {one["model"] for one in answer["suggestions"]} == {"gpt-4o"}
    assert (await ask(client, provider="anthropic"))["suggestions"] == []


async def test_a_projection_is_from_the_days_since_the_first_call(client, put):
    put([*volatile(5, 3600), *volatile(5, 3 * 86_400 - 300, model="gpt-4o")])
    answer = await ask(client)
    assert answer["projection"] == "if the next 30 days go on like the 3 days looked at"
    assert answer["projected_30_days_usd"] == pytest.approx(answer["loss_usd"] * 10, rel=0.01)


async def test_the_dearest_come_first_and_the_others_are_counted(client, put):
    put([*volatile(5, 3600, model="gpt-4o"), *volatile(9, 7200)])
    answer = await ask(client, limit=1)
    assert (len(answer["suggestions"]), answer["found"]) == (1, 2)
    both = await ask(client)
    assert [one["model"] for one in both["suggestions"]] == ["gpt-4.1", "gpt-4o"]
    assert both["loss_usd"] == pytest.approx(sum(one["loss_usd"] for one in both["suggestions"]))


async def test_without_a_price_there_are_tokens_and_no_dollars(client, put):
    put(volatile(10, 3600, provider="moonshot", model="nobody-knows"))
    (found,) = (await ask(client))["suggestions"]
    assert (found["loss_usd"], found["projected_30_days_usd"]) == (None, None)
    assert found["tokens"] == pytest.approx(72_000, rel=0.01)


async def test_only_the_newest_calls_are_looked_at_and_that_is_said(client, put, monkeypatch):
    monkeypatch.setattr(reading, "MAX_CALLS", 4)
    put(volatile(10, 3600))
    answer = await ask(client)
    assert (answer["calls"], answer["looked_at"], answer["cut"]) == (10, 4, True)
    assert len(answer["suggestions"][0]["evidence"]["request_ids"]) == 3


async def test_so_many_bytes_are_looked_at(client, put, monkeypatch):
    assert MAX_BODY_BYTES <= 64 * 1024**2
    monkeypatch.setattr(reading, "MAX_BODY_BYTES", 100_000)
    put(volatile(10, 3600))
    answer = await ask(client)
    assert (answer["looked_at"], answer["cut"]) == (3, True)


async def test_nothing_recorded_nothing_suggested(client):
    answer = await ask(client)
    assert (answer["calls"], answer["suggestions"], answer["loss_usd"]) == (0, [], 0)


async def test_bodies_that_are_gone_are_not_looked_at(client, put, store):
    put(volatile(10, 3600))
    with store.cursor() as connection:
        connection.execute("UPDATE internal.calls SET request_body = NULL WHERE sequence <= 8")
    answer = await ask(client)
    assert (answer["calls"], answer["looked_at"]) == (10, 2)


async def test_it_needs_the_key_and_sound_parameters(client):
    assert (await client.get("/suggestions", headers={"authorization": "Bearer wrong"})).status_code == 401
    assert (await client.get("/suggestions", params={"days": 0})).status_code == 422


async def test_an_answer_is_given_again_for_a_while(client, put):
    put(volatile(5, 3600))
    first = await ask(client)
    put(volatile(5, 7200, model="gpt-4o"))
    assert await ask(client) == first
    assert (await ask(client, user="ann"))["calls"] == 0


async def test_it_ends_when_the_collector_stops(client, put, store):
    put(volatile(5, 3600))
    store.closing.set()
    response = await client.get("/suggestions")
    assert (response.status_code, response.json()["error"]["code"]) == (503, "stopping")

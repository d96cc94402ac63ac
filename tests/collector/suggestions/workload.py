"""Calls of any prompt, time and usage, as the collector stores them; and what is found in them."""

import functools
import json
import random

from lessllm_collector.cache.rules import Rules
from lessllm_collector.interpret import Prices, interpret
from lessllm_collector.suggestions.comparing import compare
from lessllm_collector.suggestions.findings import find
from lessllm_collector.suggestions.traces import Tracer
from lessllm_shared.record import ApiFormat, CallRecord, EndReason

S = 10**9
T0 = 1_790_000_000
PRICES = Prices({})
WORDS = ("lamp", "river", "stone", "quick", "paper", "north", "glass", "tower", "seven", "mouse")
CACHED = {"cache_control": {"type": "ephemeral"}}


@functools.lru_cache(None)
def text(seed, tokens, around=43):
    """So many tokens of 4 bytes, with the JSON `around` it; no two seeds share a beginning."""
    rng = random.Random(str(seed))
    words = [rng.choice(WORDS) for _ in range(tokens)]
    return " ".join(words)[: 4 * tokens - around]


def record(number, at_s, body, usage, *, provider="openai", model="gpt-4.1", **fields):
    api_format = ApiFormat.MESSAGES if provider == "anthropic" else ApiFormat.CHAT
    request = json.dumps({"model": model, **body}).encode()
    answer = {"model": model, "usage": usage, "content": [], "choices": []}
    takes_s = fields.pop("takes_s", 2)
    known = {
        "request_id": f"r{number}",
        "t0_unix_ns": int((T0 + at_s) * S),
        "end_reason": EndReason.COMPLETE,
        "api_format": api_format,
        "upstream_format": api_format,
        "model": model,
        "upstream_model": model,
        "provider": provider,
        "key_fingerprint": "k1",
        "upstream_url": f"https://api.{provider}.com/v1",
        "status_code": 200,
        "request_body": request,
        "request_body_bytes": len(request),
        "response_headers": [("content-type", "application/json")],
        "response_body": json.dumps(answer).encode(),
        "upstream_start_ns": 0,
        "upstream_headers_ns": takes_s * S // 2,
        "upstream_end_ns": takes_s * S,
        "end_ns": takes_s * S,
    }
    return CallRecord(**{**known, **fields})


class Calls:
    """A workload. `findings` are by kind."""

    def __init__(self, provider="openai", model="gpt-4.1", prices=PRICES):
        self.provider, self.model, self.prices = provider, model, prices
        self.rows = []
        self.workspaces = {}

    def add(self, at_s, body, usage, **fields):
        number = len(self.rows)
        known = {"provider": self.provider, "model": self.model, **fields}
        one = record(number, at_s, body, usage, **known)
        row = interpret(one, gateway_id="g", sequence=number + 1, prices=self.prices)
        self.rows.append({**row, "rowid": number})

    def all(self, until_s=86_400, days=1.0):
        tracer = Tracer(Rules(), self.workspaces)
        traces = [trace for row in self.rows if (trace := tracer.trace(row)) is not None]
        return find(compare(traces, T0 + until_s), days)

    def findings(self, **window):
        found = self.all(**window)
        by_kind = {one.kind: one for one in found}
        assert len(by_kind) == len(found)
        return by_kind


def openai(prompt, cached=0, write=None):
    details = {"cached_tokens": cached, **({} if write is None else {"cache_write_tokens": write})}
    return {"prompt_tokens": prompt, "completion_tokens": 10, "prompt_tokens_details": details}


def anthropic(prompt, read=0, write=0, write_1h=0):
    return {
        "input_tokens": prompt - read - write - write_1h,
        "output_tokens": 10,
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": write + write_1h,
        "cache_creation": {"ephemeral_5m_input_tokens": write, "ephemeral_1h_input_tokens": write_1h},
    }


def chat(system, *turns):
    return {"messages": [{"role": "system", "content": system}, *said(*turns)]}


def claude(system, *turns):
    return {"max_tokens": 100, "system": system, "messages": said(*turns)}


def said(*turns):
    roles = ("user", "assistant")
    return [{"role": roles[place % 2], "content": turn} for place, turn in enumerate(turns)]

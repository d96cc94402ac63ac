"""What predicting cache hits costs: CPU for a call with a prompt of 100 KB, and memory after a million calls.

Progress goes to stderr, figures to stdout.
An agent's prompt, of each kind of rule; the client's simulator and the reference play no part.
"""

import argparse
import hashlib
import json
import random
import resource
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import msgspec
from lessllm_collector.cache import Predictor
from lessllm_collector.cache.calls import read_call
from lessllm_collector.cache.index import MAX_ENTRIES
from lessllm_collector.cache.prompt import read_prompt
from lessllm_collector.cache.rules import Rules
from lessllm_collector.interpret import Prices, interpret
from lessllm_shared.record import ApiFormat, CallRecord, EndReason
from lessllm_shared.tolerant_json import loads

_KINDS = (
    ("openai", "gpt-4.1", ApiFormat.CHAT),
    ("openai", "gpt-5.6", ApiFormat.CHAT),
    ("anthropic", "claude-opus-4-8", ApiFormat.MESSAGES),
    ("deepseek", "deepseek-chat", ApiFormat.CHAT),
)
_S = 10**9
_MILLION = 1_000_000
_WORDS = (
    "a prompt has many words and as agents send them some lines of code with names and brackets too " * 2
).split()
_WORDS += ["\n", "“quoted”", 'key: "value"']


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--calls", type=int, default=_MILLION, help="whose memory is measured; default: 1,000,000"
    )
    options = parser.parse_args()
    _say("CPU of a prediction, prompt of 100 KB in 40 messages with 20 tools, µs (lowest of 300 calls);")
    _say("the collector parses a request once, for sensitive data and for prediction")
    _say(f"{'rule':<34}{'parsing':>9}{'predicting':>12}{'reading':>11}{'hashing':>9}{'the rest':>10}")
    for provider, model, api_format in _KINDS:
        _say(_cpu(provider, model, api_format))
    _say(_compared(next(_conversation(*_KINDS[0]))["request_body"]))
    _memory(options.calls)


def _cpu(provider: str, model: str, api_format: ApiFormat) -> str:
    predictor, rules = Predictor(), Rules()
    taken: dict[str, list[int]] = {"parsing": [], "predicting": [], "reading": [], "read and hashed": []}
    for row in _conversation(provider, model, api_format):
        body = row["request_body"]
        steps: dict[str, Callable[[Callable[[bytes], Any]], object]] = {
            "predicting": partial(predictor.score, [row]),
            "reading": partial(read_prompt, api_format, body),
            "read and hashed": partial(read_call, row, rules, {}),
        }
        for name, step in steps.items():
            begin = time.process_time_ns()
            request = loads(body)  # each time: texts that were encoded once are encoded faster
            parsed = time.process_time_ns()
            step(_gives(request))
            taken[name].append(time.process_time_ns() - parsed)
            taken["parsing"].append(parsed - begin)
    # The lowest: what others do on the machine only adds.
    parsing, all_of_it, reading, hashed = (min(each) / 1000 for each in taken.values())
    return (
        f"{f'{provider} {model}':<34}{parsing:>9.0f}{all_of_it:>12.0f}"
        f"{reading:>11.0f}{hashed - reading:>9.0f}{all_of_it - hashed:>10.0f}"
    )


def _gives(request: Any) -> Callable[[bytes], Any]:
    return lambda _: request


def _compared(body: bytes) -> str:
    """What the same bytes take at least."""
    taken: dict[str, list[int]] = {"sha256": [], "parsing JSON": []}
    for _ in range(300):
        begin = time.process_time_ns()
        hashlib.sha256(body).digest()
        hashed = time.process_time_ns()
        msgspec.json.decode(body)
        taken["sha256"].append(hashed - begin)
        taken["parsing JSON"].append(time.process_time_ns() - hashed)
    return "the same bytes: " + ", ".join(f"{name} {min(times) / 1000:.0f}" for name, times in taken.items())


def _conversation(provider: str, model: str, api_format: ApiFormat) -> Iterator[dict[str, Any]]:
    """Calls that each have another last message, as an agent's turns at the end of a long history."""
    source = random.Random(1)  # noqa: S311 - words
    tools = [
        {"name": f"tool{n}", "input_schema": {"type": "object"}, "description": _text(source, 1000)}
        for n in range(20)
    ]
    history = [_text(source, 2000) for _ in range(40)]
    for turn in range(300):
        texts = [*history, f"turn {turn}"]
        blocks = [[{"type": "text", "text": text}] for text in texts]
        blocks[-1][0]["cache_control"] = {"type": "ephemeral"}  # type: ignore[assignment]
        messages = [{"role": ("user", "assistant")[n % 2], "content": one} for n, one in enumerate(blocks)]
        yield _row(provider, model, api_format, {"tools": tools, "messages": messages}, turn)


def _memory(calls: int) -> None:
    """Prompts of 2 KB to 20 KB, most of them new: more entries than there is room for."""
    predictor, source = Predictor(), random.Random(1)  # noqa: S311 - words
    before_mb, begin_s, predicting_ns, most = _memory_mb(), time.monotonic(), 0, 0
    text = _text(source, 20_000)
    for number in range(calls):
        content = f"{number} {text[: source.randrange(2000, 20_000)]}"
        request = {"messages": [{"role": "user", "content": content}]}
        row = _row("openai", "gpt-4.1", ApiFormat.CHAT, request, number)
        begin_ns = time.process_time_ns()
        predictor.score([row])
        predicting_ns += time.process_time_ns() - begin_ns
        most = max(most, len(predictor.index))
        done = number + 1
        if done % max(1, calls // 50) == 0:
            left_s = (time.monotonic() - begin_s) / done * (calls - done)
            _tell(
                f"{done:>9,} of {calls:,} calls: {len(predictor.index):,} entries,"
                f" {_memory_mb() - before_mb:.0f} MB more than at the start; {left_s / 60:.0f} min left"
            )
    _say(f"\n{calls:,} calls with prompts of 2 to 20 KB:")
    _say(f"entries      {most:,} at most, of {MAX_ENTRIES:,}")
    _say(f"memory       {_memory_mb() - before_mb:.0f} MB more than before, at the most")
    _say(f"CPU          {predicting_ns / 1000 / calls:.0f} µs a prediction on average")


def _memory_mb() -> float:
    """The most that the process had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _row(
    provider: str, model: str, api_format: ApiFormat, request: dict[str, Any], number: int
) -> dict[str, Any]:
    body = json.dumps({"model": model, **request}, ensure_ascii=False).encode()  # as SDKs do
    tokens = len(body) // 4
    cached = 0 if number == 0 else tokens
    usage = {
        "prompt_tokens": tokens,
        "completion_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": cached},
    }
    answer = {"choices": [{"message": {"role": "assistant", "content": "done"}}], "usage": usage}
    record = CallRecord(
        request_id=f"r{number}",
        t0_unix_ns=1_790_000_000 * _S + number * 10 * _S,
        end_reason=EndReason.COMPLETE,
        api_format=api_format,
        upstream_format=api_format,
        model=model,
        upstream_model=model,
        provider=provider,
        status_code=200,
        request_body=body,
        response_body=json.dumps(answer).encode(),
        end_ns=_S,
    )
    return interpret(record, gateway_id="g", sequence=number + 1, prices=_PRICES)


def _text(source: random.Random, size: int) -> str:
    words = " ".join(source.choices(_WORDS, k=size // 4))
    return words[:size]


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


_PRICES = Prices({})


if __name__ == "__main__":
    main()

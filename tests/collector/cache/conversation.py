"""Calls with texts of any length, as rows that a predictor has scored."""

import json

from lessllm_collector.cache import Predictor
from lessllm_collector.interpret import Prices, interpret
from lessllm_shared.record import ApiFormat, CallRecord, EndReason

S = 10**9
T0 = 1_790_000_000 * S
PRICES = Prices({})


def text(seed, tokens):
    """A text of about that many tokens, of 4 bytes each: no two seeds share a beginning."""
    word = f"{seed}".ljust(4, "-")[:4]
    return word * tokens


class Caller:
    """A client of one provider. `ask` gives the row of a call."""

    def __init__(self, provider, model, api_format=ApiFormat.CHAT, predictor=None):
        self.predictor = predictor or Predictor()
        self.provider, self.model, self.api_format = provider, model, api_format
        self.rows = {}

    def record(self, request, at_s=0, *, lasts_s=1, first_byte_s=0.5, usage=None, answer="", **fields):
        known = {
            "request_id": f"r{len(self.rows)}-{at_s}",
            "t0_unix_ns": T0 + int(at_s * S),
            "end_reason": EndReason.COMPLETE,
            "api_format": self.api_format,
            "upstream_format": self.api_format,
            "model": self.model,
            "upstream_model": self.model,
            "provider": self.provider,
            "key_fingerprint": "k1",
            "upstream_url": "https://api.example.com/v1",
            "status_code": 200,
            "request_body": json.dumps({"model": self.model, **request}).encode(),
            "upstream_start_ns": 0,
            "upstream_headers_ns": int(first_byte_s * S),
            "upstream_end_ns": int(lasts_s * S),
            "end_ns": int(lasts_s * S),
            "response_headers": [("content-type", "application/json")],
        }
        message = {"role": "assistant", "content": answer}
        body = {"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage}
        return CallRecord(**{**known, "response_body": json.dumps(body).encode(), **fields})

    def ask(self, request, at_s=0, **fields):
        row = interpret(
            self.record(request, at_s, **fields), gateway_id="g", sequence=len(self.rows) + 1, prices=PRICES
        )
        for correction in self.predictor.score([row]):
            self.rows[correction.request_id].update(correction.columns)
        self.rows[row["request_id"]] = row
        return row


def openai(prompt, cached=0, write=None, completion=10):
    details = {"cached_tokens": cached, **({} if write is None else {"cache_write_tokens": write})}
    return {"prompt_tokens": prompt, "completion_tokens": completion, "prompt_tokens_details": details}


def anthropic(fresh, read=0, write=0):
    return {
        "input_tokens": fresh,
        "output_tokens": 10,
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": write,
    }


def messages(*texts):
    roles = ("user", "assistant")
    return [{"role": roles[place % 2], "content": one} for place, one in enumerate(texts)]

"""Invented text, and values that fit a JSON Schema: the same from the same dice."""

import hashlib
import random
from typing import Any

from lessllm.simulator import tokens

_OPENING = "This is a simulated answer."
_SUBJECTS = (
    "The order",
    "Your account",
    "The report",
    "This step",
    "The service",
    "The first test",
    "Our team",
)
_VERBS = ("confirms", "explains", "needs", "changes", "follows", "covers", "depends on")
_OBJECTS = ("the delivery date", "a second check", "the latest figures", "the agreed plan", "both settings")
_ENDINGS = (
    "as expected",
    "before the end of the day",
    "in most cases",
    "once it is approved",
    "without delay",
)
_WORDS = ("alpha", "harbour", "lantern", "meadow", "orbit", "river", "signal", "willow")
_MAX_DEPTH = 6  # schemas may refer to themselves


def dice(*parts: object) -> random.Random:
    """A random generator that depends on `parts` only, in every process alike."""
    digest = hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).digest()
    return random.Random(digest)  # noqa: S311 - reproducible, not secret


def prose(rng: random.Random, length_tokens: int) -> str:
    """Sentences of at least `length_tokens` tokens."""
    sentences, total = [_OPENING], len(tokens.pieces(_OPENING))
    while total < length_tokens:
        words = (rng.choice(_SUBJECTS), rng.choice(_VERBS), rng.choice(_OBJECTS), rng.choice(_ENDINGS))
        sentence = " ".join(words) + "."
        sentences.append(sentence)
        total += len(tokens.pieces(sentence))
    return " ".join(sentences)


def value_for(schema: Any, rng: random.Random, hints: list[str], depth: int = 0) -> Any:
    """A value that fits the schema, as far as it is understood; strings come from `hints` while they last."""
    if not isinstance(schema, dict) or depth > _MAX_DEPTH:
        return None
    for keyword in ("enum", "examples"):
        if isinstance(schema.get(keyword), list) and schema[keyword]:
            return rng.choice(schema[keyword])
    if "const" in schema:
        return schema["const"]
    for keyword in ("anyOf", "oneOf", "allOf"):
        if isinstance(schema.get(keyword), list) and schema[keyword]:
            return value_for(schema[keyword][0], rng, hints, depth + 1)
    return _value_of_type(schema, rng, hints, depth)


def _value_of_type(schema: dict[str, Any], rng: random.Random, hints: list[str], depth: int) -> Any:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = kind[0] if kind else None
    if kind == "object" or (kind is None and isinstance(schema.get("properties"), dict)):
        properties = schema.get("properties")
        named = properties if isinstance(properties, dict) else {}
        return {name: value_for(inner, rng, hints, depth + 1) for name, inner in named.items()}
    if kind == "array":
        return [value_for(schema.get("items"), rng, hints, depth + 1)]
    if kind == "string":
        return hints.pop(0) if hints else rng.choice(_WORDS)
    simple = {
        "integer": rng.randint(1, 10),
        "number": round(rng.uniform(1, 10), 2),
        "boolean": rng.random() < 0.5,
    }
    return simple.get(str(kind))

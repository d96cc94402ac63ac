"""Texts of several kinds, deterministic by their seed: prose, code, JSON, digits, Chinese.

They differ in bytes per token, as what people send does.
"""

import random

KINDS = ("prose", "code", "json", "digits", "chinese")
_SYLLABLES = (
    "ba",
    "con",
    "de",
    "er",
    "fi",
    "gra",
    "in",
    "lo",
    "men",
    "na",
    "or",
    "pre",
    "ser",
    "ti",
    "un",
    "ver",
)
_HAN = "的一是不了在人有我他这中大来上个国到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可里"
_words_rng = random.Random(1)
WORDS = sorted(
    {"".join(_words_rng.choices(_SYLLABLES, k=_words_rng.choice((1, 2, 2, 3)))) for _ in range(900)}
)


def text(seed: object, tokens: int, kind: str = "prose") -> str:
    """About so many tokens. Equal arguments give equal text."""
    return _WRITERS[kind](random.Random(f"{seed} {kind}"), tokens)


def _prose(rng: random.Random, tokens: int) -> str:
    words = rng.choices(WORDS, k=tokens)
    for at in range(rng.randint(5, 12), tokens, rng.randint(8, 15)):
        words[at] += rng.choice((".", ",", ".\n"))
    return " ".join(words[: tokens - tokens // 12])


def _code(rng: random.Random, tokens: int) -> str:
    lines = []
    for _ in range(max(1, tokens // 16)):
        name, call, value = rng.choices(WORDS, k=3)
        lines.append(f"    {name}_{value} = self.{call}({name}[{rng.randint(0, 99)}], key='{value}')\n")
    return "".join(lines)


def _json(rng: random.Random, tokens: int) -> str:
    items = (
        f'{{"id":{rng.randint(1, 10**6)},"{rng.choice(WORDS)}":"{rng.choice(WORDS)}","ok":true}}'
        for _ in range(max(1, tokens // 24))
    )
    return f"[{','.join(items)}]"


def _digits(rng: random.Random, tokens: int) -> str:
    return " ".join(f"{rng.getrandbits(40):011x}" for _ in range(max(1, tokens // 7)))


def _chinese(rng: random.Random, tokens: int) -> str:
    return "".join(rng.choices(_HAN, k=tokens))


_WRITERS = {"prose": _prose, "code": _code, "json": _json, "digits": _digits, "chinese": _chinese}

"""What the answer to "list your models" tells: whether the provider answers, and takes the key. Pure.

Words that came with the answer are repeated only as `hearsay` lets them through: no key, no password.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from lessllm_shared.providers import PRESETS, Preset

from lessllm_gateway.check import hearsay
from lessllm_gateway.egress.exchange import Phase
from lessllm_gateway.upstreams import Upstream

MAX_READ_BYTES = 64 * 1024  # enough to see what an answer is


@dataclass(frozen=True, slots=True)
class Problem:
    """Where a way ends. `code` is what a call's error would have."""

    stage: Phase
    code: str
    message: str
    remedy: str  # "": the message says it


class Verdict(StrEnum):
    """On a key."""

    VALID = "valid"
    LIMITED = "limited"  # valid, but too many calls were made with it
    REFUSED = "refused"
    UNKNOWN = "unknown"  # the answer does not tell
    NOT_TRIED = "not_tried"  # the way leads nowhere
    NONE = "none"  # there is no key: clients bring theirs
    NOT_NEEDED = "not_needed"  # it answers without one


@dataclass(frozen=True, slots=True)
class KeyCheck:
    """What became of a provider's key."""

    verdict: Verdict
    message: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """The beginning of one."""

    status: int
    content_type: str
    body: bytes

    @property
    def is_list(self) -> bool:
        """Whether it may be what was asked for."""
        is_json = "json" in self.content_type or self.body.lstrip()[:1] in {b"{", b"["}
        return 200 <= self.status < 300 and is_json

    @property
    def is_web_page(self) -> bool:
        """Whether it is for browsers."""
        return hearsay.is_web_page(self.content_type, self.body)


def stranger(answer: Answer, *, is_forwarded: bool) -> Problem | None:
    """What is wrong if it is not the provider that answers; None: it is.

    `is_forwarded`: a proxy passed the request on, and could have answered by itself.
    """
    status = answer.status
    if is_forwarded and status in {502, 503, 504}:
        text = f"the answer was {status}: the proxy can't reach the upstream, or the upstream is down"
        return Problem(Phase.WAIT, "upstream_unreachable", text, "is base_url right, and the upstream up?")
    is_page = answer.is_web_page and status not in {404, 405}
    if (status < 400 and not answer.is_list) or (is_page and status < 500):
        what = "a web page" if answer.is_web_page else "no list of models"
        text = f"the answer was {what} ({status}): this is no provider's API"
        remedy = "is base_url right? Or does a login page, a filter or a proxy of this network answer?"
        return Problem(Phase.WAIT, "upstream_invalid_answer", text, remedy)
    return None


def without_key(answer: Answer | None = None) -> KeyCheck:
    """There is none to check. Some were asked all the same."""
    if answer is not None and answer.is_list:
        return KeyCheck(Verdict.NOT_NEEDED)
    return KeyCheck(Verdict.NONE, "no key: clients bring their own")


def judge(answer: Answer, upstream: Upstream, secrets: Iterable[str], *, is_for_all: bool) -> KeyCheck:
    """What the provider thinks of the key. `is_for_all`: it lists its models
    without one too."""
    status = answer.status
    said = "" if answer.is_web_page else hearsay.complaint(answer.body, secrets)
    saying = f": {said}" if said else ""
    if answer.is_list:
        if is_for_all:
            return KeyCheck(Verdict.UNKNOWN, "this provider lists its models to anybody")
        return KeyCheck(Verdict.VALID)
    if status in {401, 403} or (status == 400 and _SPEAKS_OF_KEY.search(said)):
        remedy = _where(upstream)
        if status == 403:
            remedy += "; or it may not do this, or the provider does not serve this country or network"
        return KeyCheck(Verdict.REFUSED, f"the key was refused ({status}){saying}", remedy)
    if status == 429:
        return KeyCheck(Verdict.LIMITED, f"the key is limited for now ({status}){saying}", "wait, or pay")
    if status in {404, 405}:
        return KeyCheck(Verdict.UNKNOWN, f"this provider lists no models ({status})", "is base_url right?")
    return KeyCheck(Verdict.UNKNOWN, f"the provider answered {status}{saying}", "try again later")


def _where(upstream: Upstream) -> str:
    """Where the key comes from."""
    if upstream.configured_key:
        return f"check providers.{upstream.name}.api_key"
    return f"check {PRESETS.get(upstream.name, Preset()).api_key_env} in the environment"


_SPEAKS_OF_KEY = re.compile(r"(api|access).?key|token|credential", re.IGNORECASE)  # Google, xAI

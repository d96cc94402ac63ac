"""What a translation between two API formats is: requests up in the upstream's, answers down in the client's.

One object translates one call, so that an answer may depend on what was asked. Sans I/O: bytes and JSON in,
bytes and JSON out, and no exception but `Rejection`.
"""

import re
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from lessllm_shared.providers import ChatTraits
from lessllm_shared.record import ApiFormat

from lessllm_gateway.credentials import RawHeaders
from lessllm_gateway.errors import Rejection
from lessllm_gateway.transform import Transform

Json = dict[str, Any]

MAX_NAME_CHARS = 100  # of a client's field, in a message or a header
MAX_HEADER_CHARS = 1000
_NOT_IN_HEADERS = re.compile(
    r"[^\w.\[\]-]", re.ASCII
)  # names of fields are the client's: they may hold line ends


@dataclass(slots=True)
class Wanted:
    """What a call is to be, and what became of it."""

    model: str | None  # the upstream's name of it
    streaming: bool  # the upstream is asked for a stream, and maybe the client not
    includes_usage: bool  # the client of a chat stream wants the usage
    drops: bool  # what can't be kept is left out, instead of refused
    chat: ChatTraits = field(default_factory=ChatTraits)  # of an upstream that speaks chat completions
    takes_stream_options: bool = True  # likewise
    dropped: dict[str, None] = field(default_factory=dict)  # names of what was left out, in order

    def drop(self, name: str, why: str) -> None:
        """A field of the request has no counterpart. Raises Rejection unless such are dropped."""
        if not self.drops:
            remedy = "leave it out, or set gateway.drop_params to have it left out"
            raise Rejection(400, "unsupported_parameter", f"{name[:MAX_NAME_CHARS]}: {why}; {remedy}")
        self.leave_out(name)

    def leave_out(self, name: str) -> None:
        """A field without counterpart that changes nothing of what is answered: no reason to refuse."""
        self.dropped[name[:MAX_NAME_CHARS]] = None

    def dropped_header(self) -> bytes:
        """The names of what was left out; empty: nothing was."""
        names = ", ".join(_NOT_IN_HEADERS.sub("?", name) for name in self.dropped)
        return names[:MAX_HEADER_CHARS].encode()


class Translation(Protocol):
    """Made for one call, of what is wanted; `request` comes first."""

    upstream_format: ClassVar[ApiFormat]
    upstream_path: ClassVar[str]  # after the base_url of a provider of that format
    headers: ClassVar[RawHeaders]  # that the upstream's format wants

    def __init__(self, wanted: Wanted) -> None: ...

    def request(self, body: bytes) -> bytes:
        """The upstream's request for the client's. Raises Rejection."""
        ...

    def answer(self, upstream: Json) -> Json:
        """The client's plain answer for the upstream's. Raises ValueError for what is none."""
        ...

    def stream(self) -> Transform:
        """The upstream's event stream into the client's."""
        ...

    def error(self, status: int, body: bytes) -> tuple[int, bytes]:
        """Status and body of the client's error for the upstream's."""
        ...

    def answer_headers(self, raw: RawHeaders) -> RawHeaders:
        """The upstream's headers, under the names that the client's SDK knows them by."""
        ...

"""What a translation between two API formats is: requests up in the upstream's, answers down in the client's.

One object translates one call, so that an answer may depend on what was asked. Sans I/O: bytes and JSON in,
bytes and JSON out, and no exception but `Rejection`.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from lessllm_shared.record import ApiFormat

from lessllm_gateway.credentials import RawHeaders
from lessllm_gateway.errors import Rejection
from lessllm_gateway.transform import Transform

Json = dict[str, Any]


@dataclass(slots=True)
class Wanted:
    """What a call is to be, and what became of it."""

    model: str | None  # the upstream's name of it
    streaming: bool  # the upstream is asked for a stream, and maybe the client not
    includes_usage: bool  # the client of a chat stream wants the usage
    drops: bool  # what can't be kept is left out, instead of refused
    dropped: list[str] = field(default_factory=list)  # names of what was left out

    def drop(self, name: str, why: str) -> None:
        """A field of the request has no counterpart. Raises Rejection unless such are dropped."""
        if not self.drops:
            raise Rejection(
                400,
                "unsupported_parameter",
                f"{name}: {why}; leave it out, or set gateway.drop_params to have it left out",
            )
        self.dropped.append(name)


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

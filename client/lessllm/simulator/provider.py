"""What differs between providers besides the format of a call: keys, errors, headers, rate limits."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from lessllm.simulator.models import Model

WINDOW_S = 60


class ApiError(Exception):
    """An error as a provider answers it. Fields that a provider doesn't have are left out of its answer."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str | None = None,
        param: str | None = None,
        code: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind
        self.param = param
        self.code = code
        self.retry_after_s = retry_after_s


@dataclass(frozen=True)
class Allowance:
    """What is left of a key's rate limit."""

    limit: int
    remaining: int
    reset_s: int
    reset_unix_s: int


class Provider(Protocol):
    """One provider's ways."""

    @property
    def name(self) -> Literal["openai", "anthropic"]:
        """As models.toml has it."""
        ...

    @property
    def max_request_bytes(self) -> int:
        """A larger body is refused."""
        ...

    def key(self, headers: Mapping[str, str]) -> str:
        """The caller's key. Raises ApiError 401."""
        ...

    def wrong_key(self, key: str) -> ApiError:
        """The error for a key that nobody has."""
        ...

    def failure(self, status: int) -> ApiError:
        """The documented error of that status."""
        ...

    def invalid(self, detail: ErrorDetails) -> ApiError:
        """The error for a request that does not have the documented form."""
        ...

    def error_body(self, error: ApiError, request_id: str) -> dict[str, Any]:
        """An error as JSON."""
        ...

    def unknown_model(self, name: str) -> ApiError:
        """The error for a model that the provider does not have."""
        ...

    def describe(self, name: str, model: Model) -> dict[str, Any]:
        """A model as the list of models shows it."""
        ...

    def list_models(self, models: list[dict[str, Any]]) -> dict[str, Any]:
        """The list of models."""
        ...

    def request_id(self, token: str) -> str:
        """An id in the provider's form, from a random token."""
        ...

    def headers(self, request_id: str, processing_ms: int, allowance: Allowance) -> dict[str, str]:
        """The provider's own response headers."""
        ...


class RateLimiter:
    """Requests a minute, by key, in fixed windows."""

    def __init__(self, clock: Callable[[], float], requests_per_minute: int) -> None:
        self._clock = clock
        self._limit = requests_per_minute
        self._window = -1
        self._used: dict[str, int] = {}

    def take(self, key: str) -> tuple[Allowance, bool]:
        """Count one request. False: there were too many."""
        now_s = self._clock()
        window = int(now_s // WINDOW_S)
        if window != self._window:
            self._window, self._used = window, {}
        self._used[key] = used = self._used.get(key, 0) + 1
        end_s = (window + 1) * WINDOW_S
        allowance = Allowance(self._limit, max(0, self._limit - used), max(1, round(end_s - now_s)), end_s)
        return allowance, used <= self._limit


class Strict(BaseModel):
    """A part of a request. Unknown fields and wrong types are errors, as with the real provider."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Open(BaseModel):
    """A part of a request of which only some fields matter here; the others are kept."""

    model_config = ConfigDict(extra="allow", strict=True)


Body = TypeVar("Body", bound=BaseModel)


def parse(form: type[Body], raw: bytes, provider: Provider) -> Body:
    """The request's body in the documented form. Raises ApiError in the provider's own words."""
    try:
        return form.model_validate_json(raw)
    except ValidationError as error:
        raise provider.invalid(error.errors(include_url=False)[0]) from None

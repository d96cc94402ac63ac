"""A request → the gateway; nothing back but the id of its record, which says all else.

A key comes from the environment, as an SDK takes it; the gateway's own keys need none. It is never logged,
shown or kept.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Self

import httpx
from lessllm_shared.providers import PRESETS
from lessllm_shared.record import ApiFormat

from lessllm.connection import is_here
from lessllm.errors import ServerError
from lessllm.rerun.request import Request

# How long a call may take is the gateway's to say.
_TIMEOUT = httpx.Timeout(10.0, read=None, pool=None)


class Sender:
    """Sends requests to one gateway. `key_variable`: where the key is; None: where an SDK looks for it."""

    def __init__(self, gateway_url: str, key_variable: str | None, at_once: int = 1) -> None:
        self._url = gateway_url
        self._key_variable = key_variable
        self._client = httpx.AsyncClient(
            base_url=gateway_url,
            timeout=_TIMEOUT,
            limits=httpx.Limits(max_connections=at_once),
            trust_env=not is_here(gateway_url),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def send(self, request: Request, tags: Mapping[str, str], session: str | None = None) -> str:
        """The id of the call, which has ended, well or not. Raises ServerError if no gateway took it."""
        headers = httpx.Headers({**request.headers, **_key_header(request, self._key_variable)}, "latin-1")
        headers["x-lessllm-tags"] = ",".join(f"{name}={value}" for name, value in tags.items())
        if session is not None:
            headers["x-lessllm-session"] = session
        request_id = None
        try:
            async with self._client.stream(
                request.method, request.path, content=request.body, headers=headers
            ) as response:
                request_id = response.headers.get("x-lessllm-request-id")
                with suppress(httpx.RequestError):  # as the record says
                    async for _ in response.aiter_raw():
                        pass
        except httpx.ConnectError:
            raise ServerError(f"no gateway answers at {self._url}: is it running?") from None
        except httpx.RequestError as error:
            reason = str(error) or type(error).__name__
            raise ServerError(f"the gateway at {self._url} broke off: {reason}") from None
        if request_id is None:
            raise ServerError(
                f"{self._url} gave an answer that isn't a LessLLM gateway's (status {response.status_code}):"
                " is the URL right?"
            )
        return str(request_id)


def key_variable_of(request: Request) -> str | None:
    """The environment variable in which the SDK for this endpoint looks for its key."""
    preset = PRESETS.get(provider_of(request))
    return preset.api_key_env if preset is not None else None


def _key_header(request: Request, variable: str | None) -> dict[str, str]:
    key = os.environ.get(variable or key_variable_of(request) or "", "").strip()
    if not key:
        return {}
    preset = PRESETS.get(provider_of(request))
    name = "x-api-key" if preset is not None and preset.format == "anthropic" else None
    name = (preset.key_header if preset is not None else None) or name
    return {"authorization": f"Bearer {key}"} if name is None else {name: key}


def provider_of(request: Request) -> str:
    """Whose endpoint it is: /v1/… is OpenAI's, but for what only Anthropic has."""
    first = request.path.split("/")[1]
    if first != "v1":
        return first
    is_anthropic = request.api_format in {ApiFormat.MESSAGES, ApiFormat.COUNT_TOKENS}
    return "anthropic" if is_anthropic else "openai"

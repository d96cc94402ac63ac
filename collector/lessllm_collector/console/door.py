"""Who may see pages: whoever may ask the API. A key in, a cookie with the proof of it out.

The cookie holds no key, only until when it is valid and an HMAC of that with the key: another key ends all of
them. Programs may send the key as they do to the API. Without a key all pages are open, as the API is.
"""

import hashlib
import hmac
import time

from starlette.requests import Request
from starlette.responses import Response

from lessllm_collector.requests import key_matches

COOKIE = "lessllm_console"
_VALID_S = 7 * 24 * 3600


class SignInWanted(Exception):  # noqa: N818 - an answer, not a fault
    """The page is for those who have shown the key."""


class Door:
    """Knows the key, if there is one."""

    def __init__(self, api_key: str | None) -> None:
        self.has_key = api_key is not None
        self._key = api_key or ""

    def check(self, request: Request) -> None:
        """Raises SignInWanted."""
        if not self.has_key or key_matches(request, self._key):
            return
        until, _, proof = request.cookies.get(COOKIE, "").partition(".")
        is_due = until.isascii() and until.isdigit() and len(until) < 12 and int(until) > time.time()
        if not (hmac.compare_digest(proof.encode(), self._proof(until)) and is_due):
            raise SignInWanted

    def fits(self, shown: str) -> bool:
        """Whether that is the key."""
        return hmac.compare_digest(_digest(shown), _digest(self._key))

    def let_in(self, response: Response, *, is_encrypted: bool) -> None:
        """Whoever gets this response has shown the key."""
        until = str(int(time.time()) + _VALID_S)
        response.set_cookie(
            COOKIE,
            f"{until}.{self._proof(until).decode()}",
            max_age=_VALID_S,
            httponly=True,
            samesite="strict",
            secure=is_encrypted,
        )

    def see_off(self, response: Response) -> None:
        """Whoever gets this response has to show the key again."""
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")

    def _proof(self, until: str) -> bytes:
        signed = f"lessllm console until {until}".encode()
        return hmac.new(_digest(self._key), signed, hashlib.sha256).hexdigest().encode()


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()

"""The client keys, found by what a client shows: one look-up, whose timing tells nothing.

What is held of a key is an HMAC of its SHA-256, under a secret of this process: nobody outside can work out
what is compared with what.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Iterator

from lessllm_shared.config.sections import Key


class KeyRing:
    """Changes as a whole, by `replace`."""

    def __init__(self, keys: Iterable[Key] = (), *, asks: bool | None = None) -> None:
        """`asks`: whether one of them is wanted of everybody, even if there are none."""
        self._secret = secrets.token_bytes(32)
        self.replace(keys)
        self.asks = bool(self._keys) if asks is None else asks

    def __iter__(self) -> Iterator[Key]:
        return iter(self._keys.values())

    def replace(self, keys: Iterable[Key]) -> None:
        """From now on it is these."""
        self._keys = {self._blinded(key.digest): key for key in keys}
        self.spending = [key.name for key in self._keys.values() if key.is_spending]

    def find(self, shown: str) -> Key | None:
        """The key that was shown, as a header's text."""
        return self._keys.get(self._blinded(hashlib.sha256(shown.encode("latin-1", "replace")).digest()))

    def _blinded(self, digest: bytes) -> bytes:
        return hmac.digest(self._secret, digest, "sha256")

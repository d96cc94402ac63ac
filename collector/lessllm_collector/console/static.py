"""Style sheet, script and icon: read once, served under a name that changes with what is in them."""

import hashlib
from collections.abc import Mapping
from importlib.resources import files

from starlette.responses import Response

from lessllm_collector.errors import Refusal

_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
_HEADERS = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
    "cache-control": "public, max-age=31536000, immutable",
}


def asset(name: str) -> str:
    """Its path, for a page. Raises KeyError."""
    return f"/console/static/{hashlib.sha256(_FILES[name]).hexdigest()[:12]}/{name}"


def served(name: str) -> Response:
    """Raises Refusal."""
    if name not in _FILES:
        raise Refusal(404, "not_found", f"there is no {name}")
    return Response(_FILES[name], media_type=_TYPES[name.rpartition(".")[2]], headers=_HEADERS)


_FILES: Mapping[str, bytes] = {
    file.name: file.read_bytes() for file in files(__package__).joinpath("static").iterdir()
}

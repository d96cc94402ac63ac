"""The words of pages: a key such as `overview.title` in, text in the reader's language out.

Each file of messages/ has those of one page, each message in every language on one line.
"""

import tomllib
from collections.abc import Iterator, Mapping
from importlib.resources import files

import msgspec
from starlette.requests import Request

LANGUAGES: Mapping[str, str] = {"en": "English", "zh": "中文"}  # the first one, unless another is asked for
COOKIE = "lessllm_language"


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One text. Fields in braces are filled in."""

    en: str
    zh: str


def wanted_language(request: Request) -> str:
    """`?lang=`, else what was chosen before, else what the browser asks for."""
    asked = (request.query_params.get("lang"), request.cookies.get(COOKIE))
    known = (code for code in (*asked, *_accepted(request.headers.get("accept-language", ""))))
    return next((code for code in known if code and code in LANGUAGES), next(iter(LANGUAGES)))


def _accepted(header: str) -> Iterator[str]:
    """`zh-CN,zh;q=0.9,en;q=0.8` → zh, zh, en. Browsers send them in order, the most wanted first."""
    for part in header.split(","):
        yield part.partition(";")[0].strip().partition("-")[0].lower()


class Words:
    """The messages in one language."""

    def __init__(self, language: str) -> None:
        self.language = language

    def __call__(self, key: str, **fields: object) -> str:
        """Raises KeyError for a key that no file has."""
        text: str = getattr(MESSAGES[key], self.language)
        return text.format(**fields) if fields else text

    def known(self, prefix: str, name: object) -> str:
        """The word for a value such as an end_reason; the value itself where there is none."""
        key = f"{prefix}.{name}"
        return self(key) if key in MESSAGES else str(name)


def _load() -> Mapping[str, Message]:
    found: dict[str, Message] = {}
    for file in files(__package__).joinpath("messages").iterdir():
        page = msgspec.convert(tomllib.loads(file.read_text("utf-8")), dict[str, Message])
        found |= {f"{file.name.removesuffix('.toml')}.{key}": message for key, message in page.items()}
    return found


MESSAGES: Mapping[str, Message] = _load()

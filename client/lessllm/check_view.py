"""What `lessllm check` found, for people: a table of every way, then a paragraph for each problem, then how
many client keys there are, and what is remarkable about them.

Reports enter, as the gateway's `check` gives them; text leaves. One problem that several providers have, such
as a proxy that is down, is told once.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lessllm_shared import figures
from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from lessllm import tables

Report = dict[str, Any]
Way = dict[str, Any]
ClientKeys = dict[str, Any]

_PHASES = {  # a column each: its heading, the phase, its duration
    "DNS": ("dns", "dns_ms"),
    "connect": ("connect", "connect_ms"),
    "proxy": ("proxy_handshake", "proxy_ms"),
    "TLS": ("tls", "tls_ms"),
}
_COLUMNS = [
    tables.Column("provider"),
    tables.Column("route"),
    *(tables.Column(title, is_number=True) for title in _PHASES),
    *(tables.Column(title) for title in ("certificate of", "key", "verdict")),
]
_NARROW = (
    {"provider", "route", "key", "verdict"},
    {"provider", "route", *_PHASES},
    {"provider", "route", "certificate of"},
)
_KEYS = {
    "valid": "valid",
    "limited": "limited",
    "refused": "refused",
    "unknown": "can't be told",
    "not_tried": "not tried",
    "none": "the client's",
    "not_needed": "not needed",
}
_STAGES = {
    "dns": "DNS",
    "connect": "the connection",
    "proxy_handshake": "the proxy",
    "tls": "TLS",
}
_ANSWER = "the answer"
_TRUSTED_BY = {"tls.ca_file": "tls.ca_file", "system": "this system's store or SSL_CERT_FILE"}


@dataclass(frozen=True)
class _Paragraph:
    what: str
    text: str
    remedy: str


def parts(reports: Sequence[Report], width: int) -> Iterator[RenderableType]:
    """All of it, in a terminal of some width."""
    rows = [_row(report, way) for report in reports for way in report["ways"]]
    yield from tables.whole_or_parts(_COLUMNS, _NARROW, rows, width)
    for paragraphs_of in (_problems, _remarks):
        about: dict[_Paragraph, dict[str, None]] = defaultdict(dict)  # whom each is about, once
        for report in reports:
            for way in report["ways"]:
                for paragraph in paragraphs_of(way):
                    about[paragraph][report["provider"]] = None
        for paragraph, providers in about.items():
            yield Text(f"\n{', '.join(providers)}{paragraph.what}", style="bold")
            yield _indented(paragraph.text)
            if paragraph.remedy:
                yield _indented(f"What to do: {paragraph.remedy}")


def of_client_keys(keys: ClientKeys) -> Iterator[RenderableType]:
    """How many there are, and what may be wrong with them."""
    if keys["client_keys"]:
        yield Text(f"\nclient keys: {keys['client_keys']}")
    for remark in keys["remarks"]:
        yield Text(f"\n{remark['about']}", style="bold")
        yield _indented(remark["message"])
        yield _indented(f"What to do: {remark['remedy']}")


def failures(reports: Iterable[Report]) -> list[str]:
    """Each provider that failed, with the reason."""
    return [f"{report['provider']} ({_reason(report)})" for report in reports if not report["ok"]]


def _row(report: Report, way: Way) -> list[str]:
    phases = [_phase(way, *phase) for phase in _PHASES.values()]
    key, verdict = _KEYS[way["key"]["verdict"]], _verdict(way)
    return [report["provider"], way["route"], *phases, _certificate(way["certificate"]), key, verdict]


def _phase(way: Way, phase: str, duration: str) -> str:
    """How long it took, or that the way ends here."""
    error = way["error"]
    if error is not None and error["stage"] == phase:
        return "timed out" if error["code"].endswith("_timeout") else "failed"
    return figures.milliseconds(way[duration])


def _certificate(certificate: dict[str, Any] | None) -> str:
    if certificate is None:
        return figures.NULL
    issuer, trusted_by = certificate["issuer"] or "?", certificate["trusted_by"]
    if trusted_by == "well_known":
        return str(issuer)
    return f"{issuer} ({trusted_by or 'not trusted'})"


def _verdict(way: Way) -> str:
    """In the words of a call's error_code."""
    if way["error"] is not None:
        return str(way["error"]["code"]).replace("_", " ").replace("tls", "TLS")
    return "key refused" if way["key"]["verdict"] == "refused" else "ok"


def _reason(report: Report) -> str:
    verdicts = [_verdict(way) for way in report["ways"]]
    return next(verdict for verdict in verdicts if verdict != "ok")


def _problems(way: Way) -> Iterator[_Paragraph]:
    by = ", direct" if way["route"] == "direct" else f" by way of {way['route']}"
    error, key = way["error"], way["key"]
    if error is not None:
        stage = _STAGES.get(error["stage"], _ANSWER)
        yield _Paragraph(f"{by}: failed at {stage}", error["message"], error["remedy"])
    elif key["message"] and key["verdict"] != "none":
        yield _Paragraph(f"{by}: the key", key["message"], key["remedy"])


def _remarks(way: Way) -> Iterator[_Paragraph]:
    certificate = way["certificate"] or {}
    if (trusted_by := _TRUSTED_BY.get(certificate.get("trusted_by") or "")) is not None:
        what = f": TLS is intercepted by {certificate['issuer']} (trusted by {trusted_by})"
        yield _Paragraph(what, _INTERCEPTION, "")


def _indented(text: str) -> RenderableType:
    return Padding(Text(text), (0, 0, 0, 2), expand=False)


_INTERCEPTION = (
    "Whoever holds that authority's key can read calls and keys. That is as it should be if it is your"
    " company's, or if the server is your own."
)

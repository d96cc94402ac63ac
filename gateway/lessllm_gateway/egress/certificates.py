"""Which certificates we trust and which one we show, as an SSL context; why a server's was not accepted.

Trusted are the well-known authorities (certifi's, or what SSL_CERT_FILE or SSL_CERT_DIR name), the system's,
and the configuration's own. Verification is never switched off. Nothing here asks at a terminal, and what
a server's certificate says is never repeated: it is untrusted text.
"""

import ssl
from pathlib import Path
from typing import Never

import httpx
from lessllm_shared.config import ConfigError
from lessllm_shared.config.sections import Tls


class Certificates:
    """Owns the contexts: each is loaded once, which takes some 20 ms."""

    def __init__(self) -> None:
        self._contexts: dict[Tls, ssl.SSLContext] = {}

    def context(self, tls: Tls) -> ssl.SSLContext:
        """As `client_context`. Not to be changed: httpcore, which does, needs one of its own."""
        known = self._contexts.get(tls)
        if known is None:
            known = self._contexts[tls] = client_context(tls)
        return known


def client_context(tls: Tls) -> ssl.SSLContext:
    """For HTTP/1.1 connections. Raises ConfigError that names the file and what is wrong with it."""
    try:
        context = httpx.create_ssl_context()
    except OSError as error:
        raise ConfigError(f"SSL_CERT_FILE: {_reason(error)}") from None
    context.load_default_certs()
    context.set_alpn_protocols(["http/1.1"])
    if tls.ca_file is not None:
        _trust(context, tls.ca_file)
    if tls.client_cert_file is not None:
        _show(context, tls.client_cert_file, tls.client_key_file or tls.client_cert_file)
    elif tls.client_key_file is not None:
        raise ConfigError("tls.client_key_file: needs client_cert_file, the certificate it belongs to")
    return context


def _trust(context: ssl.SSLContext, file: Path) -> None:
    where = f"tls.ca_file: {file}"
    _check_holds(file, b"CERTIFICATE-----", where)
    try:
        context.load_verify_locations(cafile=file)
    except OSError as error:
        raise ConfigError(f"{where}: {_reason(error)}") from None
    # On by default since Python 3.13. The authorities of companies that intercept TLS often miss a detail of
    # RFC 5280 that neither browsers nor curl ask for; who names one means to trust it.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT


def _show(context: ssl.SSLContext, cert_file: Path, key_file: Path) -> None:
    where = f"tls.client_key_file: {key_file}"
    _check_holds(cert_file, b"CERTIFICATE-----", f"tls.client_cert_file: {cert_file}")
    _check_holds(key_file, b"PRIVATE KEY-----", where)

    def refuse() -> Never:  # without it, OpenSSL asks at the terminal
        raise ConfigError(f"{where}: is encrypted; a service can't be asked for the password: decrypt it")

    try:
        context.load_cert_chain(cert_file, key_file, refuse)
    except OSError as error:
        raise ConfigError(f"tls.client_cert_file: {cert_file} with {key_file}: {_reason(error)}") from None


def _check_holds(file: Path, label: bytes, where: str) -> None:
    """OpenSSL tells neither which of two files is missing nor what it missed in one."""
    try:
        is_there = label in file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{where}: {_reason(error)}") from None
    if not is_there:
        raise ConfigError(f"{where}: holds no -----BEGIN {label.decode()}: it must be PEM")


def _reason(error: OSError) -> str:
    if not isinstance(error, ssl.SSLError):
        return f"can't be read: {error.strerror}"
    if error.reason == "KEY_VALUES_MISMATCH":
        return "the key is not that of the certificate"
    return f"can't be used: {error.reason or 'its PEM is damaged'}"


def describe_verification(error: ssl.SSLCertVerificationError) -> str:
    """Why a server's certificate was not accepted, and what to do: what follows "its certificate …"."""
    return _VERIFICATION.get(error.verify_code, f"was not accepted (OpenSSL's code {error.verify_code})")


_UNKNOWN_ISSUER = (
    "is of an authority that is not known here: if this network intercepts TLS, name the authority's "
    "certificate as tls.ca_file"
)
_OTHER_HOST = "is not for this host: is the address right, or does something else answer there?"
_NOT_STRICT = (
    "or one above it breaks a rule of RFC 5280: if its authority is to be trusted all the same, name its "
    "certificate as tls.ca_file"
)
_VERIFICATION = {  # by OpenSSL's X509_V_ERR_* of x509_vfy.h
    2: _UNKNOWN_ISSUER,
    9: "is not valid yet: is this machine's clock right?",
    10: "has expired: if the server's is renewed, is this machine's clock right?",
    18: "is signed by itself: to trust it all the same, name it as tls.ca_file",
    19: _UNKNOWN_ISSUER,
    20: _UNKNOWN_ISSUER,
    21: _UNKNOWN_ISSUER,
    23: "was revoked by its authority",
    26: "is not one for servers",
    62: _OTHER_HOST,
    64: _OTHER_HOST,
    66: "has a key that is too short",
    67: "has a key above it that is too short",
    68: "is signed with an algorithm that is too weak",
    79: "has one above it that is not an authority's",
} | dict.fromkeys(range(80, 94), _NOT_STRICT)

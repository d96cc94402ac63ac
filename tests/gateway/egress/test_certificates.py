"""Whom we trust, what we show, and what is said about what does not fit; with real handshakes in memory."""

import datetime as dt
import ssl

import httpx
import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from lessllm_gateway.egress.certificates import Certificates, client_context, describe_verification
from lessllm_shared.config import ConfigError
from lessllm_shared.config.sections import Tls

HOST = "api.test"
NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)
DAMAGED = "".join(f"-----BEGIN {x}-----\nAA\n-----END {x}-----\n" for x in ("CERTIFICATE", "PRIVATE KEY"))


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority, tmp_path_factory):
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


@pytest.fixture
def pair(authority, tmp_path):
    """A client's certificate and its key, as files."""
    issued = authority.issue_cert("client.test")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "client.crt")
    issued.private_key_pem.write_to_path(tmp_path / "client.key")
    return tmp_path / "client.crt", tmp_path / "client.key"


def serving(issued):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["h2", "http/1.1"])
    issued.configure_cert(context)
    return context


def connected(client_side, server_side, host=HOST):
    """Both ends after a handshake in memory. Raises what either end says."""
    upward, downward = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_side.wrap_bio(downward, upward, server_hostname=host)
    server = server_side.wrap_bio(upward, downward, server_side=True)
    waiting = [client, server]
    while waiting:
        for end in tuple(waiting):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(end)
    return client, server


def refusal(client_side, server_side, host=HOST):
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        connected(client_side, server_side, host)
    return describe_verification(caught.value)


def complaint(**fields):
    with pytest.raises(ConfigError) as caught:
        client_context(Tls(**fields))
    return str(caught.value)


def test_an_authority_of_the_configuration_is_trusted_beside_the_well_known(authority, ca_file):
    context = client_context(Tls(ca_file=ca_file))
    client, _ = connected(context, serving(authority.issue_cert(HOST)))
    assert client.selected_alpn_protocol() == "http/1.1"
    assert len(context.get_ca_certs()) == len(client_context(Tls()).get_ca_certs()) + 1 > 100
    assert "tls.ca_file" in refusal(client_context(Tls()), serving(authority.issue_cert(HOST)))


def test_the_client_shows_its_certificate_from_two_files_or_one(authority, ca_file, pair, tmp_path):
    certificate, key = pair
    both = tmp_path / "both.pem"
    both.write_bytes(key.read_bytes() + certificate.read_bytes())
    asking = serving(authority.issue_cert(HOST))
    authority.configure_trust(asking)
    asking.verify_mode = ssl.CERT_REQUIRED
    for shown in ({"client_cert_file": certificate, "client_key_file": key}, {"client_cert_file": both}):
        _, server = connected(client_context(Tls(ca_file=ca_file, **shown)), asking)
        assert ("DNS", "client.test") in server.getpeercert()["subjectAltName"]


def test_a_context_is_loaded_once_for_equal_settings(ca_file):
    certificates = Certificates()
    assert certificates.context(Tls(ca_file=ca_file)) is certificates.context(Tls(ca_file=ca_file))
    assert certificates.context(Tls()) is not certificates.context(Tls(ca_file=ca_file))


@pytest.mark.parametrize("field", ["ca_file", "client_cert_file", "client_key_file"])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file"),
        ("", "it must be PEM"),
        ("0\x82\x03\x01", "it must be PEM"),
        (DAMAGED, "can't be used"),
    ],
)
def test_a_file_that_can_not_be_used_is_named_with_the_reason(field, content, reason, pair, tmp_path):
    bad = tmp_path / "bad.pem"
    if content is not None:
        bad.write_text(content, "latin-1")
    fields = {"client_cert_file": pair[0], "client_key_file": pair[1]} if field != "ca_file" else {}
    said = complaint(**fields | {field: bad})
    assert said.startswith("tls.")
    assert str(bad) in said
    assert reason in said


def test_a_directory_is_no_file_with_certificates(tmp_path):
    assert complaint(ca_file=tmp_path) == f"tls.ca_file: {tmp_path}: can't be read: Is a directory"


def test_a_key_and_a_certificate_must_belong_together(authority, pair, tmp_path):
    certificate, key = pair
    other = tmp_path / "other.key"
    authority.issue_cert("other.test").private_key_pem.write_to_path(other)
    said = complaint(client_cert_file=certificate, client_key_file=other)
    assert said.endswith(f"{certificate} with {other}: the key is not that of the certificate")
    assert "PRIVATE KEY-----" in complaint(client_cert_file=certificate)
    assert "needs client_cert_file" in complaint(client_key_file=key)


@pytest.mark.parametrize(
    "form", [serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL]
)
def test_nobody_is_asked_for_the_password_of_an_encrypted_key(form, pair, tmp_path):
    certificate, key = pair
    encrypted = tmp_path / "encrypted.key"
    encrypted.write_bytes(
        serialization.load_pem_private_key(key.read_bytes(), None).private_bytes(
            serialization.Encoding.PEM,
            form,
            serialization.BestAvailableEncryption(b"CANARY"),
        )
    )
    said = complaint(client_cert_file=certificate, client_key_file=encrypted)
    assert said.startswith(f"tls.client_key_file: {encrypted}: is encrypted")


def test_a_bundle_that_the_environment_names_and_that_is_missing_is_a_mistake_of_the_configuration(
    monkeypatch, tmp_path
):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    assert complaint().startswith("SSL_CERT_FILE: can't be read")


def test_what_is_wrong_with_a_certificate_is_said_in_our_words(authority, ca_file):
    context = client_context(Tls(ca_file=ca_file))
    expired = authority.issue_cert(HOST, not_before=NOW - 9 * DAY, not_after=NOW - DAY)
    early = authority.issue_cert(HOST, not_before=NOW + DAY, not_after=NOW + 9 * DAY)
    assert "expired" in refusal(context, serving(expired))
    assert "clock" in refusal(context, serving(early))
    assert "not for this host" in refusal(context, serving(authority.issue_cert("CANARY.test")))
    assert "not for this host" in refusal(context, serving(authority.issue_cert(HOST)), "127.0.0.1")


def test_a_certificate_of_an_unknown_authority_tells_of_interception(ca_file):
    stranger = trustme.CA(organization_name="CANARY" * 9)
    context = client_context(Tls(ca_file=ca_file))
    said = refusal(context, serving(stranger.issue_cert(HOST)))
    assert "intercepts TLS" in said
    assert "CANARY" not in said
    sends_its_root = stranger.create_child_ca().issue_cert(HOST)
    sends_its_root.cert_chain_pems.append(stranger.cert_pem)
    assert refusal(context, serving(sends_its_root)) == said


def test_a_reason_that_is_not_known_here_is_given_as_openssls_code():
    error = ssl.SSLCertVerificationError("CANARY")
    error.verify_code = 999
    assert describe_verification(error) == "was not accepted (OpenSSL's code 999)"


def signed_by_itself(extension, *, is_critical):
    """A certificate and its key, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "own")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, NOW - DAY, NOW + DAY)
        .add_extension(extension, critical=is_critical)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    return certificate.public_bytes(pem), key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)


def test_a_certificate_signed_by_itself_is_recognised_and_can_be_trusted(ca_file, tmp_path):
    names = x509.SubjectAlternativeName([x509.DNSName(HOST)])
    own = tmp_path / "own.pem"
    own.write_bytes(b"".join(signed_by_itself(names, is_critical=False)))
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(own)
    assert "signed by itself" in refusal(client_context(Tls(ca_file=ca_file)), server_side)
    connected(client_context(Tls(ca_file=own)), server_side)


def test_a_trusted_authority_may_miss_a_detail_of_the_rfc(monkeypatch, tmp_path):
    plain = httpx.create_ssl_context

    def strict():  # as from Python 3.13 on
        context = plain()
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(httpx, "create_ssl_context", strict)
    certificate, key = signed_by_itself(x509.BasicConstraints(True, None), is_critical=False)
    careless = trustme.CA.from_pem(certificate, key)
    careless.cert_pem.write_to_path(tmp_path / "careless.pem")
    known_to_the_system = client_context(Tls())
    known_to_the_system.load_verify_locations(tmp_path / "careless.pem")
    server_side = serving(careless.issue_cert(HOST))
    assert "RFC 5280" in refusal(known_to_the_system, server_side)
    connected(client_context(Tls(ca_file=tmp_path / "careless.pem")), server_side)

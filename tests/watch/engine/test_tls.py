from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detente.kernel.clock import SystemClock, seconds_between
from detente.watch.engine import certificate
from detente.watch.engine.once import probe_once
from detente.watch.engine.wire import Probe, Result

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
DAY = 86_400


def check(port: int, trust: Path | None, **more: object) -> Result:
    given = {
        "id": "shop",
        "kind": "tls",
        "target": f"127.0.0.1:{port}",
        "timeout": 3.0,
        "ca_file": None if trust is None else str(trust),
        "server_name": "shop.example",
    }
    return probe_once(Probe(**(given | more)))  # type: ignore[arg-type]


@pytest.fixture
def shop(serve, acts, tls, authority):
    """A server with a good certificate."""
    return serve(tls(authority.issue("shop.example", "127.0.0.1"), acts.says(OK)))


def test_a_good_certificate(shop, authority):
    """A trusted certificate for the right name is ok, and its end is reported."""
    seen = check(shop, authority.file)
    assert (seen.verdict, seen.reason, seen.tls_version) == ("ok", "", "TLSv1.3")
    assert seen.tls is not None
    assert len(seen.tls_fingerprint or "") == 64
    left = seconds_between(SystemClock().now(), seen.tls_expires) / DAY
    assert 364 < left < 366


def test_https_asks_behind_the_handshake(shop, authority):
    """HTTPS verifies, asks and times all five phases, by name or by address."""
    target = f"https://127.0.0.1:{shop}/"
    seen = check(shop, authority.file, kind="http", target=target, expect_body="hello")
    assert (seen.verdict, seen.reason, seen.status) == ("ok", "", 200)
    assert None not in (seen.dns, seen.connect, seen.tls, seen.first_byte, seen.transfer)
    assert check(shop, authority.file, kind="http", target=target, server_name=None).verdict == "ok"


def test_large_answers_over_tls(serve, acts, tls, authority):
    """An answer in many TLS records is read to its end."""
    body = b"x" * 300_000 + b"end"
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    port = serve(tls(authority.issue("shop.example"), acts.says(head + body)))
    seen = check(
        port, authority.file, kind="http", target=f"https://127.0.0.1:{port}/", expect_body="xend"
    )
    assert (seen.verdict, seen.bytes) == ("ok", len(head) + len(body))


@pytest.mark.parametrize(
    ("names", "days", "reason"),
    [
        (("shop.example",), -3, "certificate expired 3 days ago, on "),
        (("other.example",), 365, "certificate is not for shop.example"),
    ],
)
def test_a_bad_certificate_is_told_precisely(serve, acts, tls, authority, names, days, reason):
    """Expired or for somebody else: the reason says which, and the end of validity is still read."""
    port = serve(tls(authority.issue(*names, days=days), acts.hangs))
    seen = check(port, authority.file)
    assert seen.verdict == "failed"
    assert seen.reason.startswith(reason)
    assert seen.failed_in == "tls"
    assert seen.tls_expires is not None


def test_an_unknown_issuer_is_told(serve, acts, tls, authority, stranger):
    """A certificate from nobody we know fails; whoever switches verification off accepts it."""
    port = serve(tls(stranger.issue("shop.example"), acts.hangs))
    seen = check(port, authority.file)
    assert seen.verdict == "failed"
    assert seen.reason.startswith("certificate is from an issuer that is not trusted")
    assert seen.tls_expires is not None
    assert check(port, authority.file, tls_verify=False).verdict == "ok"


def test_a_certificate_that_ends_too_soon(serve, acts, tls, authority):
    """A certificate must be valid as much longer as was wanted."""
    port = serve(tls(authority.issue("shop.example", days=6.01), acts.hangs))
    assert check(port, authority.file, expires_within=5.0 * DAY).verdict == "ok"
    seen = check(port, authority.file, expires_within=14.0 * DAY)
    assert seen.verdict == "failed"
    assert seen.reason == "certificate expires in 6 days (wanted at least 14)"


def test_an_expired_certificate_fails_unverified_too(serve, acts, tls, authority):
    """A check of the certificate itself sees that it has expired, verified or not."""
    port = serve(tls(authority.issue("shop.example", days=-0.5), acts.hangs))
    seen = check(port, None, tls_verify=False)
    assert seen.reason.startswith("certificate expired 12 hours ago")


def test_no_tls_at_all(serve, acts):
    """Plain HTTP behind a TLS port, a hang-up and a silence are each told apart."""
    plain = check(serve(lambda sock: sock.sendall(b"HTTP/1.1 400 Bad\r\n\r\n")), None)
    assert plain.reason == "answered, but not with TLS (in the TLS handshake)"
    closed = check(serve(lambda sock: sock.recv(10_000)), None)
    assert closed.reason == "the other side closed the connection (in the TLS handshake)"
    silent = check(serve(acts.hangs), None, timeout=0.2)
    assert silent.reason.endswith("within 0.2 s (connected, in the TLS handshake)")
    assert {plain.failed_in, closed.failed_in, silent.failed_in} == {"tls"}


def test_a_server_that_only_handshakes_once(stage, acts, tls, authority):
    """If the second look at a bad certificate finds nobody, what was seen first still counts."""
    context = authority.issue("other.example")
    seen_already: list[int] = []

    def once(sock: socket.socket) -> None:
        if not seen_already:
            seen_already.append(1)
            tls(context, acts.hangs)(sock)

    seen = check(stage.serve(once), authority.file)
    assert (seen.verdict, seen.reason) == ("failed", "certificate is not for shop.example")


def test_an_unreadable_authority_file_is_our_fault(shop, tmp_path):
    """A missing or broken authority file says nothing about the target."""
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    for trust in (tmp_path / "missing.pem", broken):
        seen = check(shop, trust)
        assert seen.verdict == "inconclusive"
        assert str(trust) in seen.reason


def test_a_replaced_authority_file_is_read_again(shop, authority, stranger, tmp_path):
    """Replacing the authority file takes effect with the next run."""
    trust = tmp_path / "ca.pem"
    trust.write_bytes(stranger.file.read_bytes())
    assert check(shop, trust).verdict == "failed"
    trust.unlink()
    trust.write_bytes(authority.file.read_bytes())
    assert check(shop, trust).verdict == "ok"


def test_the_end_of_a_certificate_is_read_to_the_second(authority):
    """The end of validity agrees with what the authority wrote."""
    der = ssl.PEM_cert_to_DER_cert(authority.file.read_text())
    written = authority.cert.not_valid_after_utc.timestamp()
    assert certificate.expires(der) == int(written) * 10**9


@given(st.binary(max_size=200))
def test_garbage_is_no_certificate(noise):
    """Whatever the bytes, reading a certificate ends in an answer and never in an error."""
    assert certificate.expires(noise) is None or isinstance(certificate.expires(noise), int)


@given(st.integers(0, 2_000), st.integers(0, 255))
def test_a_damaged_certificate_is_no_crash(authority, at, value):
    """A certificate with one byte changed is read or refused, never an error."""
    der = bytearray(ssl.PEM_cert_to_DER_cert(authority.file.read_text()))
    der[at % len(der)] = value
    certificate.expires(bytes(der))
    certificate.expires(bytes(der[: at % len(der)]))

"""Servers that misbehave on request, and certificates for every mistake one can make with them."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Handler = Callable[[socket.socket], None]
Serve = Callable[[Handler], int]

TODAY = datetime.datetime.fromtimestamp(__import__("time").time_ns() // 10**9, datetime.UTC)


class Stage:
    """Runs small servers in threads and clears them all away in the end."""

    def __init__(self) -> None:
        self.sockets: list[socket.socket] = []
        self.threads: list[threading.Thread] = []
        self.over = False

    def serve(self, handler: Handler, host: str = "127.0.0.1") -> int:
        """Handle every connection with this function; answers with the port."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, 0), family=family, backlog=256)
        self.sockets.append(listener)
        self._thread(self._accept, listener, handler)
        return int(listener.getsockname()[1])

    def _accept(self, listener: socket.socket, handler: Handler) -> None:
        while not self.over:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            self.sockets.append(sock)
            self._thread(self._handle, sock, handler)

    def _handle(self, sock: socket.socket, handler: Handler) -> None:
        with contextlib.suppress(OSError), sock:
            handler(sock)

    def datagrams(self, answer: Callable[[bytes], bytes | list[bytes] | None]) -> int:
        """Answer every datagram with what this function says; answers with the port."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(0.05)
        self.sockets.append(sock)
        self._thread(self._reply, sock, answer)
        return int(sock.getsockname()[1])

    def _reply(
        self, sock: socket.socket, answer: Callable[[bytes], bytes | list[bytes] | None]
    ) -> None:
        while not self.over:
            try:
                packet, sender = sock.recvfrom(4096)
            except TimeoutError:
                continue
            except OSError:
                return
            said = answer(packet)
            for each in said if isinstance(said, list) else [said] if said else []:
                sock.sendto(each, sender)

    def _thread(self, work: Callable[..., None], *given: object) -> None:
        thread = threading.Thread(target=work, args=given, daemon=True)
        self.threads.append(thread)
        thread.start()

    def clear(self) -> None:
        self.over = True
        for sock in self.sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in self.threads:
            thread.join(5)


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.clear()


@pytest.fixture
def serve(stage: Stage) -> Serve:
    return stage.serve


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port where nobody listens, and nobody will: it is taken and stays shut."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])


def hear_request(sock: socket.socket) -> bytes:
    """Everything up to the blank line."""
    heard = b""
    while b"\r\n\r\n" not in heard:
        chunk = sock.recv(4096)
        if not chunk:
            return heard
        heard += chunk
    return heard


def says(*parts: bytes) -> Handler:
    """Hears a request, says this, hangs up."""

    def handle(sock: socket.socket) -> None:
        hear_request(sock)
        for part in parts:
            sock.sendall(part)

    return handle


def hangs(sock: socket.socket) -> None:
    """Takes the connection and never says a word."""
    while sock.recv(4096):
        pass


def resets(sock: socket.socket) -> None:
    """Hears a request and breaks the connection off the hard way."""
    hear_request(sock)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.fixture
def acts() -> object:
    """The ways to behave, for tests to choose from."""

    class Acts:
        pass

    acts = Acts()
    acts.says, acts.hangs, acts.resets, acts.hear = says, hangs, resets, hear_request  # type: ignore[attr-defined]
    return acts


class Authority:
    """Issues certificates, good and bad."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.cert = self._sign(self.key.public_key(), name, [], 3650, ca=True)
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(self.cert.public_bytes(serialization.Encoding.PEM))

    def _sign(
        self,
        public: ec.EllipticCurvePublicKey,
        name: str,
        names: list[str],
        days: float,
        *,
        ca: bool,
    ) -> x509.Certificate:
        def called(text: str) -> x509.Name:
            return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

        alternatives = [
            x509.IPAddress(ipaddress.ip_address(each)) if each[0].isdigit() else x509.DNSName(each)
            for each in names
        ]
        builder = (
            x509.CertificateBuilder()
            .subject_name(called(name))
            .issuer_name(called(self.name))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(TODAY - datetime.timedelta(days=100))
            .not_valid_after(TODAY + datetime.timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
                critical=False,
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        )
        if ca:
            usage = x509.KeyUsage(
                digital_signature=True, key_cert_sign=True, crl_sign=True,
                content_commitment=False, key_encipherment=False, data_encipherment=False,
                key_agreement=False, encipher_only=False, decipher_only=False,
            )  # fmt: skip
            builder = builder.add_extension(usage, critical=True)
        if alternatives:
            builder = builder.add_extension(
                x509.SubjectAlternativeName(alternatives), critical=False
            )
        return builder.sign(self.key, hashes.SHA256())

    def issue(self, *names: str, days: float = 365) -> ssl.SSLContext:
        """A server's context with a certificate for these names."""
        key = ec.generate_private_key(ec.SECP256R1())
        cert = self._sign(key.public_key(), names[0], list(names), days, ca=False)
        path = self.folder / f"{self.name}-{names[0]}-{days}.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + cert.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


def over_tls(context: ssl.SSLContext, handler: Handler) -> Handler:
    """The same behaviour behind a handshake."""

    def handle(sock: socket.socket) -> None:
        with (
            contextlib.suppress(ssl.SSLError),
            context.wrap_socket(sock, server_side=True) as secure,
        ):
            handler(secure)

    return handle


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"), "trusted")


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger")


@pytest.fixture
def tls() -> Callable[[ssl.SSLContext, Handler], Handler]:
    return over_tls

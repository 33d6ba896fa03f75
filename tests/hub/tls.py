"""huggingface.co on loopback, for clients that know no other Hub: a proxy with a certificate of its own making."""

from __future__ import annotations

import datetime
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from .server import Hub

NAME = "huggingface.co"


@dataclass(frozen=True)
class Proxy:
    """`address`: host and port of an HTTP proxy; `authority`: the file of the certificate to trust."""

    address: str
    authority: Path


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of `NAME`, signed by itself, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    cert, secret = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return cert, secret


@contextmanager
def proxy(hub: Hub, folder: Path) -> Iterator[Proxy]:
    """Every request leads to the hub, whatever host it names."""
    cert, key = certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    port = int(hub.url.rsplit(":", 1)[1])

    class One(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            hub, first = socket.create_connection(("127.0.0.1", port)), self.rfile.readline()
            if not first.startswith(b"CONNECT "):
                hub.sendall(first)
                return _both_ways(self.rfile.read1, self.connection, hub)
            while self.rfile.readline().strip():
                pass
            self.wfile.write(b"HTTP/1.1 200 Connection Established\r\n\r\n")
            with suppress(OSError), context.wrap_socket(self.connection, server_side=True) as inside:
                _both_ways(inside.recv, inside, hub)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

    with Server(("127.0.0.1", 0), One) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield Proxy(f"127.0.0.1:{server.server_address[1]}", cert)
        server.shutdown()


def _both_ways(read: Callable[[int], bytes], inside: socket.socket, out: socket.socket) -> None:
    def back() -> None:
        with suppress(OSError):
            while data := out.recv(1 << 16):
                inside.sendall(data)
            inside.shutdown(socket.SHUT_RDWR)

    threading.Thread(target=back, daemon=True).start()
    with out:
        while data := read(1 << 16):
            out.sendall(data)

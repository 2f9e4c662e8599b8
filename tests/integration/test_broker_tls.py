"""A broker of one's own over TLS: works with a certificate of an authority that the system trusts, and with no other.

The chart has no value for an authority of one's own, so its schema and docs/install.md promise this much and no more.
"""

import datetime
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tailrace_broker.connection import close, connect
from tailrace_operator.local.broker import free_port, nats_server
from tailrace_protocol.errors import TailraceError
from tailrace_protocol.settings import NatsSettings

CONFIG = """
listen: "127.0.0.1:{port}"
tls {{ cert_file: "{folder}/certificate.pem", key_file: "{folder}/key.pem" }}
authorization {{ user: worker, password: word }}
"""


def write_certificate(folder: Path) -> None:
    """A certificate for localhost that is its own authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - day, now + day)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    certificate = builder.sign(key, hashes.SHA256())
    form = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """A nats-server that takes nothing but TLS; `connect` waits until it listens."""
    write_certificate(tmp_path)
    port = free_port()
    (tmp_path / "nats.conf").write_text(CONFIG.format(port=port, folder=tmp_path))
    (tmp_path / "password").write_text("word")
    with subprocess.Popen([nats_server(), "-c", tmp_path / "nats.conf", "-l", tmp_path / "log"]) as server:
        yield port
        server.terminate()


def settings(scheme: str, port: int, folder: Path) -> NatsSettings:
    return NatsSettings([f"{scheme}://localhost:{port}"], user="worker", password_file=str(folder / "password"))


@pytest.mark.parametrize("scheme", ["tls", "nats"])
async def test_a_certificate_that_the_system_trusts_is_enough(scheme, port, tmp_path, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    client = await connect(settings(scheme, port, tmp_path), "test")
    assert client.is_connected
    await close(client)


async def test_any_other_certificate_is_refused_with_the_reason(port, tmp_path):
    with pytest.raises(TailraceError, match="CERTIFICATE_VERIFY_FAILED"):
        await connect(settings("tls", port, tmp_path), "test", within_s=2)

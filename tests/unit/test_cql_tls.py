"""The lane over TLS, against certificates made here."""

import datetime as dt
import ipaddress
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fake_cql import FakeCql

from sinks.cassandra.lane.dial import Access
from sinks.cassandra.lane.lane import LaneTransport
from sinks.cassandra.layout import Mutation, step
from sinks.sink import SinkMisconfigured

# A socket of ours that is left to the collector fails the test (pyproject.toml lets the driver's pass).
pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")


def certificate(folder, address):
    """A file with a self-signed certificate for an address and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "node")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / f"{address}.pem"
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


def server_side(path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def row(n):
    return Mutation(str(n).encode(), (step(0, (str(n).encode(), b"x" * 2000)),))


def test_rows_go_over_tls_to_a_node_whose_name_is_checked(tmp_path):
    path = certificate(tmp_path, "127.0.0.1")
    with FakeCql(tls=server_side(path), password=b"secret") as node:
        trusting = ssl.create_default_context(cafile=path)
        lane = LaneTransport(node.ring, Access(["INSERT"], 6, 10.0, ("user", "secret"), trusting))
        sent = [row(n) for n in range(2000)]
        assert lane.write(sent) == [None] * 2000
        assert sorted(node.cells) == sorted(one.steps[0].cells for one in sent)
        lane.close()


@pytest.mark.parametrize("named", ["127.0.0.9", None])
def test_a_node_of_another_name_or_that_nobody_trusts_is_not_spoken_to(tmp_path, named):
    path = certificate(tmp_path, named or "127.0.0.1")
    trusting = ssl.create_default_context(cafile=path if named else None)
    with FakeCql(tls=server_side(path)) as node:
        with pytest.raises(SinkMisconfigured, match="certificate verify failed"):
            LaneTransport(node.ring, Access(["INSERT"], 6, 5.0, None, trusting))
        assert node.startups == []

"""An authority of our own: certificates for nodes and clients, as files."""

import datetime as dt
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Authority:
    """Signs certificates; `file` is its own, in PEM."""

    def __init__(self, folder, name="an authority of the tests"):
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        basic = x509.BasicConstraints(ca=True, path_length=None)
        signed = self._signed(self._name, self._key, 30).add_extension(basic, critical=True)
        usage = {name: name in ("key_cert_sign", "crl_sign") for name in USAGES}
        signed = signed.add_extension(x509.KeyUsage(**usage), critical=True)
        self.file = folder / "ca.pem"
        self.file.write_bytes(pem(signed.sign(self._key, hashes.SHA256())))

    def issue(self, name, *, hosts=(), days=30, password=None):
        """Files of a certificate and its key, encrypted with a password; negative days are over already."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = self._signed(subject, key, days)
        if hosts:
            made = made.add_extension(x509.SubjectAlternativeName([known(host) for host in hosts]), critical=False)
        certificate, key_file = self._folder / f"{name}.pem", self._folder / f"{name}.key.pem"
        certificate.write_bytes(pem(made.sign(self._key, hashes.SHA256())))
        plain = serialization.NoEncryption()
        lock = plain if password is None else serialization.BestAvailableEncryption(password)
        form = serialization.PrivateFormat.PKCS8
        key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, lock))
        return certificate, key_file

    def _signed(self, subject, key, days):
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=60))
            .not_valid_after(now + dt.timedelta(days=days))
        )


USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def known(host):
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM)

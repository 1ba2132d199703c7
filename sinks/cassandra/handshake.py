"""Why a node that accepts connections cannot be spoken to: asked by hand, once the driver could not connect."""

import socket
import ssl
import struct
from contextlib import suppress

from sinks.cassandra.access_options import TlsOptions
from sinks.cassandra.options import CassandraOptions

PROBE_SECONDS = 2.0
# Native protocol v4, "OPTIONS": answered before any login, by a frame that begins with 0x84.
OPTIONS_FRAME = struct.pack(">BBhBI", 4, 0, 0, 5, 0)
FROM_SERVER = 0x80
# OpenSSL's X509_V_ERR_…: what it said of the certificate.
EXPIRED, NOT_YET_VALID = 10, 9
OTHER_NAME = (62, 64)
# Alerts of a node that wants another certificate from us, or one at all (RFC 8446, "Error alerts"). Cassandra 5 says
# "internal error" of one whose authority it does not know.
ALERTS = ("CERTIFICATE", "UNKNOWN_CA", "HANDSHAKE_FAILURE", "ACCESS_DENIED", "INTERNAL_ERROR")
# In TLS 1.3 the node looks at our certificate when our side of the handshake is over: its alert comes after it.
ALERT_SECONDS = 0.5


def misunderstanding(options: CassandraOptions, context: ssl.SSLContext | None) -> str | None:
    """Why a node that accepts connections cannot be spoken to, and which option to look at; None: not for TLS.

    The driver tells of TLS only that a connection failed. Asks the first contact point, for PROBE_SECONDS at most
    each time.
    """
    host, port = options.contact_points[0], options.port
    try:
        address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4][0]
    except OSError:
        return None
    place = (str(address), port)
    if context is None or options.tls is None:
        return _plainly(place)
    try:
        _shake(place, context, options.tls.server_name or str(address))
    except ssl.SSLCertVerificationError as error:
        return _of_certificate(error, options.tls, f"{host}:{port}")
    except OSError as error:
        return _of_handshake(error, options.tls, place)
    return None


def _plainly(place: tuple[str, int]) -> str | None:
    """Nothing that this trusts is believed: it only asks whether the node speaks TLS at all."""
    try:
        if _answers(place):
            return None
    except OSError:
        pass
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection(place, PROBE_SECONDS) as plain, anybody.wrap_socket(plain):
            pass
    except OSError:
        return None
    return f"{place[0]}:{place[1]} speaks TLS only: set target.tls"


def _of_certificate(error: ssl.SSLCertVerificationError, tls: TlsOptions, place: str) -> str:
    said = f"the certificate of {place} is refused: {error.verify_message}"
    if error.verify_code in OTHER_NAME:
        return (
            f"{said}. Set target.tls.server_name to a name that the certificates of all nodes have, or "
            "target.tls.check_hostname: false"
        )
    if error.verify_code in (EXPIRED, NOT_YET_VALID):
        return f"{said}. Renew the certificate on the nodes, or look at this machine's clock"
    authority = tls.ca_file or "none is set, so the system's own count"
    return f"{said}. Is the authority that signed it in target.tls.ca_file ({authority})?"


def _of_handshake(error: OSError, tls: TlsOptions, place: tuple[str, int]) -> str | None:
    where = f"{place[0]}:{place[1]}"
    try:
        if _answers(place):
            return f"{where} speaks CQL without TLS: look at target.port, or leave out target.tls"
    except OSError:
        pass
    reason = error.reason if isinstance(error, ssl.SSLError) else None
    if reason is None or not any(alert in reason for alert in ALERTS):
        return None
    if tls.certificate_file is None:
        return f"{where} asks for a certificate of ours ({reason}): set target.tls.certificate_file and key_file"
    return f"{where} refuses the certificate of target.tls.certificate_file ({tls.certificate_file}): {reason}"


def _shake(place: tuple[str, int], context: ssl.SSLContext, name: str) -> None:
    """Raises SSLError, also what the node says after the handshake; OSError."""
    with (
        socket.create_connection(place, PROBE_SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=name) as connection,
    ):
        connection.settimeout(ALERT_SECONDS)
        # Nothing is sent: the node has closed behind its alert, and would answer with a reset that wipes it out.
        with suppress(TimeoutError):
            connection.recv(1)


def _answers(place: tuple[str, int]) -> bool:
    """True when it answers an OPTIONS frame with one of CQL. Raises OSError."""
    with socket.create_connection(place, PROBE_SECONDS) as connection:
        connection.sendall(OPTIONS_FRAME)
        head = connection.recv(1)
    return bool(head) and bool(head[0] & FROM_SERVER)

"""The secrets of a new stack: strong passwords, and a certificate for Postgres from an authority of its own."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hms.spec import SECRET_KEYS

PASSWORD_BYTES: Final = 24
"""192 bits from the operating system's generator: beyond any search, and a digest of it tells nothing."""

KEY_BYTES: Final = 32
"""What an API key of the app has: it keeps a plain digest of it, because nobody guesses 256 bits."""

VALID_DAYS: Final = 730


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A server certificate with its key and the authority that signed it, all PEM.

    The authority's own key is forgotten: it signs once. A renewal makes a new authority, and both go out together.
    """

    authority: str
    certificate: str
    key: str


def postgres_names(namespace: str) -> list[str]:
    """Return the names by which clients reach Postgres: the Services, and each member under the pods' Service."""
    hosts = ["postgres", "postgres-replicas", "*.postgres-pods"]
    suffixes = ["", f".{namespace}", f".{namespace}.svc", f".{namespace}.svc.cluster.local"]
    return [f"{host}{suffix}" for host in hosts for suffix in suffixes] + ["localhost"]


def make_certificate(names: Sequence[str], *, now: datetime) -> Certificate:
    """Return a certificate for a server of those DNS names, good from an hour before `now` for two years."""
    authority_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "HMS Postgres authority")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "postgres")])
    start, end = now - timedelta(hours=1), now + timedelta(days=VALID_DAYS)

    def builder(name: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(end)
        )

    usage = x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    authority = (
        builder(issuer, authority_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    server = (
        builder(subject, server_key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    key = server_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Certificate(
        authority=authority.public_bytes(Encoding.PEM).decode(),
        certificate=server.public_bytes(Encoding.PEM).decode(),
        key=key.decode(),
    )


def make_credentials(namespace: str) -> dict[str, str]:
    """Return a new value for each of `SECRET_KEYS`."""
    certificate = make_certificate(postgres_names(namespace), now=datetime.now(UTC))
    values = {key: secrets.token_urlsafe(PASSWORD_BYTES) for key in SECRET_KEYS if key.endswith("Password")}
    return {
        **values,
        "appAdminKey": secrets.token_urlsafe(KEY_BYTES),
        "appInternalKey": "hms_" + secrets.token_urlsafe(KEY_BYTES),
        "postgresTlsAuthority": certificate.authority,
        "postgresTlsCertificate": certificate.certificate,
        "postgresTlsKey": certificate.key,
    }

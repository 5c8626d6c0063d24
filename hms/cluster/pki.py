"""The cluster's certificate authority and the identities that it gives out, one for each component, with its rights."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hms.cluster.addresses import Addresses
from hms.cluster.files import write_whole

VALID_DAYS = 365


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate to issue: its file's name, its user and group in Kubernetes, and the names that it serves under."""

    file: str
    user: str
    group: str = ""
    dns_names: tuple[str, ...] = ()
    addresses: tuple[IPv4Address, ...] = ()


def identities(addresses: Addresses, nodes: int) -> list[Identity]:
    """Return everyone who takes part in a cluster of that many nodes."""
    local = IPv4Address("127.0.0.1")
    service_names = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost")
    return [
        Identity(
            "apiserver", "kube-apiserver",
            dns_names=service_names, addresses=(local, addresses.control, addresses.api_service),
        ),
        Identity("apiserver-kubelet-client", "kube-apiserver-kubelet-client"),
        Identity("front-proxy-client", "front-proxy-client"),
        Identity("admin", "hms:admin", "system:masters"),
        Identity("controller-manager", "system:kube-controller-manager"),
        Identity("scheduler", "system:kube-scheduler"),
        Identity("volumes", "hms:volumes"),
        Identity("kube-proxy", "system:kube-proxy"),
        Identity("kube-router", "hms:kube-router"),
        *(
            Identity(
                f"node-{number}", f"system:node:node-{number}", "system:nodes",
                dns_names=(f"node-{number}",), addresses=(addresses.node(number),),
            )
            for number in range(1, nodes + 1)
        ),
    ]  # fmt: skip


def ensure_pki(directory: Path, wanted: Sequence[Identity]) -> None:
    """Make the authority, the key that signs service accounts' tokens, and each identity, unless it is there.

    Keys are on P-256, in files of mode 0600.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not (directory / "ca.crt").exists():
        _make_authority(directory)
    if not (directory / "sa.pub").exists():
        key = ec.generate_private_key(ec.SECP256R1())
        write_whole(directory / "sa.key", _private_pem(key))
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        write_whole(directory / "sa.pub", public)
    authority = x509.load_pem_x509_certificate((directory / "ca.crt").read_bytes())
    authority_key = serialization.load_pem_private_key((directory / "ca.key").read_bytes(), None)
    if not isinstance(authority_key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{directory / 'ca.key'}: not an elliptic curve's key")
    for identity in wanted:
        if not (directory / f"{identity.file}.crt").exists():
            _issue(directory, identity, authority, authority_key)


def _make_authority(directory: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hms test cluster")])
    certificate = (
        _builder(name, name, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    write_whole(directory / "ca.key", _private_pem(key))
    write_whole(directory / "ca.crt", certificate.public_bytes(serialization.Encoding.PEM))


def _issue(
    directory: Path, identity: Identity, authority: x509.Certificate, authority_key: ec.EllipticCurvePrivateKey
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, identity.user)]
    if identity.group:
        attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, identity.group))
    builder = (
        _builder(x509.Name(attributes), authority.subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
        )
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
    )
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in identity.dns_names]
    names += [x509.IPAddress(address) for address in identity.addresses]
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    certificate = builder.sign(authority_key, hashes.SHA256())
    write_whole(directory / f"{identity.file}.key", _private_pem(key))
    write_whole(directory / f"{identity.file}.crt", certificate.public_bytes(serialization.Encoding.PEM))


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        # An hour of grace: a clock that is set back must not make the cluster's certificates "not yet valid".
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=VALID_DAYS))
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    """Return what a key is for, which RFC 5280 wants to be said, and Python 3.13 with it."""
    return x509.KeyUsage(
        digital_signature=not signs_certificates, key_cert_sign=signs_certificates, crl_sign=signs_certificates,
        content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )

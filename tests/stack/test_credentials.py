import re
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.verification import PolicyBuilder, Store

from hms.spec import SECRET_KEYS
from hms.stack.credentials import make_certificate, make_credentials, postgres_names

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def test_each_secret_is_made_and_no_two_are_alike() -> None:
    first, second = make_credentials("hms-test"), make_credentials("hms-test")
    assert first.keys() == set(SECRET_KEYS)
    values = [*first.values(), *second.values()]
    assert len(set(values)) == len(values)


def test_passwords_are_long_and_safe_in_every_file_that_holds_them() -> None:
    for key, value in make_credentials("hms-test").items():
        if key.endswith("Password"):
            assert len(value) >= 32
            assert set(value) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def test_the_app_takes_the_keys_that_are_made_for_it() -> None:
    made = make_credentials("hms-test")
    assert re.fullmatch(r"hms_[A-Za-z0-9_-]{43}", made["appInternalKey"])
    assert re.fullmatch(r"(?!hms_)[A-Za-z0-9_-]{43}", made["appAdminKey"])


@pytest.mark.parametrize(
    "host",
    ["postgres", "postgres-replicas.hms-test.svc", "postgres-1.postgres-pods.hms-test.svc.cluster.local", "localhost"],
)
def test_the_certificate_is_good_for_every_name_by_which_postgres_is_reached(host: str) -> None:
    made = make_certificate(postgres_names("hms-test"), now=NOW)
    authority = x509.load_pem_x509_certificate(made.authority.encode())
    server = x509.load_pem_x509_certificate(made.certificate.encode())
    verifier = PolicyBuilder().store(Store([authority])).time(NOW).build_server_verifier(x509.DNSName(host))
    assert verifier.verify(server, []) == [server, authority]


def test_the_certificate_is_good_for_no_other_name() -> None:
    made = make_certificate(postgres_names("hms-test"), now=NOW)
    names = x509.load_pem_x509_certificate(made.certificate.encode()).extensions
    listed = names.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
    assert "*.postgres-pods" in listed
    assert not [name for name in listed if name.startswith("*") and not name.startswith("*.postgres-pods")]


def test_the_key_is_the_certificates_own() -> None:
    made = make_certificate(["postgres"], now=NOW)
    key = load_pem_private_key(made.key.encode(), password=None)
    certificate = x509.load_pem_x509_certificate(made.certificate.encode())
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.public_key() == certificate.public_key()

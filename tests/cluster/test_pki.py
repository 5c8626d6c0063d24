"""The certificates, as a client sees them that goes by the letter of RFC 5280."""

import ssl
from pathlib import Path

from hms.cluster.pki import Identity, ensure_pki

SERVER = Identity("server", "hms:server", "hms:servers", dns_names=("kubernetes.default.svc",))


def context(purpose: ssl.Purpose, directory: Path) -> ssl.SSLContext:
    made = ssl.create_default_context(purpose, cafile=str(directory / "ca.crt"))
    made.verify_flags |= ssl.VERIFY_X509_STRICT  # what Python 3.13 does by itself
    made.load_cert_chain(directory / "server.crt", directory / "server.key")
    made.verify_mode = ssl.CERT_REQUIRED
    return made


def subject_of(end: ssl.SSLObject) -> list[object]:
    """Return the names of whom this end talks to."""
    certificate = end.getpeercert()
    assert certificate is not None
    names: object = certificate["subject"]
    assert isinstance(names, tuple)
    return [name for part in names for name in part]


def test_both_ends_accept_each_other_by_the_letter(tmp_path: Path) -> None:
    ensure_pki(tmp_path, [SERVER])
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context(ssl.Purpose.SERVER_AUTH, tmp_path).wrap_bio(
        to_client, to_server, server_hostname="kubernetes.default.svc"
    )
    server = context(ssl.Purpose.CLIENT_AUTH, tmp_path).wrap_bio(to_server, to_client, server_side=True)
    finished: set[ssl.SSLObject] = set()
    while len(finished) < 2:
        for end in (client, server):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            finished.add(end)
    assert ("commonName", "hms:server") in subject_of(client)
    assert subject_of(server) == subject_of(client)


def test_what_is_there_is_kept(tmp_path: Path) -> None:
    ensure_pki(tmp_path, [SERVER])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    ensure_pki(tmp_path, [SERVER])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before

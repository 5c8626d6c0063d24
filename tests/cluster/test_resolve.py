import struct

from hms.cluster.resolve import IDENTITY, has_address, question


def answer(*, identity: int = IDENTITY, error: int = 0, answers: int = 1) -> bytes:
    return struct.pack(">6H", identity, 0x8180 | error, 1, answers, 0, 0)


def test_a_question_has_the_names_labels_and_asks_for_an_ipv4_address() -> None:
    assert question("a.svc.")[12:] == b"\x01a\x03svc\x00\x00\x01\x00\x01"


def test_only_an_answer_to_our_question_with_an_address_counts() -> None:
    assert has_address(answer())
    assert not has_address(answer(identity=IDENTITY + 1))
    assert not has_address(answer(error=3))
    assert not has_address(answer(answers=0))
    assert not has_address(b"")

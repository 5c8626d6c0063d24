"""Which pods are gone: told, listed, never seen."""

from witness.pods import MOST_REMEMBERED, Pods


def test_a_pod_that_was_there_and_is_deleted_is_gone() -> None:
    pods = Pods()
    pods.listed({"a", "b"})
    assert not pods.is_gone("a")
    pods.told("a", deleted=True)
    assert pods.is_gone("a")
    assert not pods.is_gone("b")


def test_what_a_watch_missed_the_next_list_tells() -> None:
    pods = Pods()
    pods.listed({"a", "b"})
    pods.told("c", deleted=False)
    pods.listed({"b", "d"})
    assert [uid for uid in "abcd" if pods.is_gone(uid)] == ["a", "c"]


def test_a_pod_that_was_never_seen_is_not_gone_nor_is_nobody() -> None:
    pods = Pods()
    pods.listed({"a"})
    assert not pods.is_gone("new")
    assert not pods.is_gone("")


def test_only_the_last_are_remembered() -> None:
    pods = Pods()
    for number in range(MOST_REMEMBERED + 1):
        pods.told(str(number), deleted=True)
    assert not pods.is_gone("0")
    assert pods.is_gone("1")

import tempfile
from pathlib import Path

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from drills.writer.journal import Journal
from hms.ledger import Answer, Intent, read_ledger


def written(path: Path, count: int) -> bytes:
    with Journal(path) as journal:
        for seq in range(count):
            journal.append(Intent(seq=seq, key=f"k:{seq}", intended_ns=seq, sent_ns=seq))
            if seq % 3:
                journal.append(Answer(seq=seq, outcome="acknowledged", done_ns=seq + 1))
    return path.read_bytes()


@given(cut=st.integers(0, 2000))
def test_cut_anywhere_it_goes_on_with_keys_that_are_new(cut: int) -> None:
    """A kill may tear the last line; whatever is left must be read, and no key may come twice."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "postgres.ledger.jsonl"
        whole = written(path, 12)
        path.write_bytes(whole[: min(cut, len(whole))])
        before = {write.key: write.outcome for write in read_ledger(path.read_bytes(), source="cut")}
        with Journal(path) as journal:
            first = journal.next_seq
            journal.append(Intent(seq=first, key=f"k:{first}", intended_ns=99, sent_ns=99))
        after = {write.key: write.outcome for write in read_ledger(path.read_bytes(), source="resumed")}
        assert f"k:{first}" not in before or before[f"k:{first}"] == "unknown"
        assert {key: outcome for key, outcome in after.items() if key != f"k:{first}"}.items() <= before.items()
        assert len(after) >= len(before)


def test_each_record_is_in_the_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "redis.ledger.jsonl"
    with Journal(path) as journal:
        intent = Intent(seq=0, key="k", intended_ns=1, sent_ns=2)
        journal.append(intent)
        assert path.read_bytes() == msgspec.json.encode(intent) + b"\n"

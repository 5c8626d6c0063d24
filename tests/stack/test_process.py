import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from hms.errors import StackError, ToolError
from hms.stack.process import capture, passthrough, stream

ENVIRONMENT = {"PATH": os.environ["PATH"]}


def python(code: str) -> list[str]:
    return [sys.executable, "-u", "-c", code]


def test_each_line_is_passed_on_and_the_exit_code_returned(tmp_path: Path) -> None:
    lines: list[str] = []
    code, tail = stream(
        python("import sys; print(sys.stdin.read()); print('two', file=sys.stderr); sys.exit(3)"),
        folder=tmp_path, environment=ENVIRONMENT, line=lines.append, stdin="one",
    )  # fmt: skip
    assert (code, tail, lines) == (3, ["one", "two"], ["one", "two"])


def test_an_interruption_lets_the_program_finish_and_then_goes_on(tmp_path: Path) -> None:
    """Pulumi writes its state on the one SIGINT that it gets; the caller's interruption must not lose that."""
    program = python(
        "import signal, sys\n"
        "def stop(*_):\n    open('state', 'w').write('kept'); sys.exit(0)\n"
        "signal.signal(signal.SIGINT, stop); print('ready'); signal.pause()"
    )

    def interrupt(_: str) -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        stream(program, folder=tmp_path, environment=ENVIRONMENT, line=interrupt)
    assert (tmp_path / "state").read_text() == "kept"


def test_what_a_quiet_call_says_of_its_failure_is_the_error(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="no such stack"):
        capture(python("import sys; sys.exit('error: no such stack')"), folder=tmp_path, environment=ENVIRONMENT)


def test_a_quiet_call_has_a_deadline(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"no end within 0\.2 s"):
        capture(python("import signal; signal.pause()"), folder=tmp_path, environment=ENVIRONMENT, timeout_seconds=0.2)


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"no-such-pulumi: not found(.|\n)*hms tools"):
        capture(["no-such-pulumi"], folder=tmp_path, environment=ENVIRONMENT)
    with pytest.raises(ToolError, match="no-such-pulumi: not found"):
        stream(["no-such-pulumi"], folder=tmp_path, environment=ENVIRONMENT, line=print)
    with pytest.raises(ToolError, match="no-such-pulumi: not found"):
        passthrough(["no-such-pulumi"], folder=tmp_path, environment=ENVIRONMENT)


def test_the_terminal_is_the_programs_own(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert passthrough(python("print('shown')"), folder=tmp_path, environment=ENVIRONMENT) == 0
    assert capfd.readouterr().out == "shown\n"

"""The rules of the house that a machine can hold: who imports whom, how long a module is, what never gets committed."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("app", "drills", "hms", "infra", "loadtests", "smoke", "tests", "witness")
FOLDERS_WITH_A_README = ("claims", "docs", "images", "stacks", "tools")
LONGEST_MODULE_LINES = 330


def _tracked(pattern: str) -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z", pattern], cwd=ROOT, capture_output=True, check=True, text=True)
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()]


def _modules(room: str) -> list[Path]:
    return sorted(path for path in _tracked(f"{room}/*.py"))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module


def _first_page(path: Path) -> Path:
    """Return the nearest `__init__.py` at or above a module that says what may be imported."""
    for folder in path.parents:
        page = folder / "__init__.py"
        if page.exists() and "May import:" in page.read_text():
            return page
        if folder == ROOT:
            break
    raise AssertionError(f"{path.relative_to(ROOT)}: no first page above it has a line 'May import:'")


def _allowed(page: Path) -> set[str]:
    sentence = re.search(r"May import:(.*?)\.\s*\n", page.read_text(), re.DOTALL)
    assert sentence, f"{page.relative_to(ROOT)}: the line 'May import: ...' must end with a full stop"
    return {room for room in ROOMS if re.search(rf"\b{room}\b", sentence.group(1))}


@pytest.mark.parametrize("room", ROOMS)
def test_a_module_imports_what_its_first_page_allows(room: str) -> None:
    wrong = []
    for path in _modules(room):
        allowed = _allowed(_first_page(path)) | {room}
        wrong += [
            f"{path.relative_to(ROOT)} imports {name}"
            for name in _imports(path)
            if name.split(".")[0] in ROOMS and name.split(".")[0] not in allowed
        ]
    assert wrong == []


@pytest.mark.parametrize("room", ROOMS)
def test_every_folder_says_what_it_is(room: str) -> None:
    folders = {path.parent for path in _modules(room)}
    silent = [f for f in folders if not ast.get_docstring(ast.parse((f / "__init__.py").read_text()))]
    assert silent == []


@pytest.mark.parametrize("folder", FOLDERS_WITH_A_README)
def test_a_folder_without_code_says_what_it_is(folder: str) -> None:
    assert (ROOT / folder / "README.md").read_text().strip()


def test_a_module_is_one_noun() -> None:
    long = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for room in ROOMS
        for path in _modules(room)
        if len(path.read_text().splitlines()) > LONGEST_MODULE_LINES
    }
    assert long == {}


def test_where_tests_run_side_by_side_those_of_a_file_share_a_process(request: pytest.FixtureRequest) -> None:
    """A pytest that pytest-xdist cannot mark ids in made four test clusters and loads of the release, not one."""
    side_by_side = request.config.pluginmanager.hasplugin("dsession") or hasattr(request.config, "workerinput")

    assert not side_by_side or request.node.nodeid.endswith("@tests/test_house.py")


def test_nothing_is_left_for_later() -> None:
    unfinished = re.compile(r"\b(TODO|FIXME|XXX)\b|NotImplementedError")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in _tracked("*.py")
        if path != Path(__file__).resolve()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if unfinished.search(line)
    ]
    assert found == []


def test_an_exception_to_a_check_gives_its_reason() -> None:
    silenced = re.compile(r"#\s*(type: ignore|noqa)")
    bare = re.compile(r"#\s*(type: ignore\[[\w,\- ]+\]|noqa: [A-Z0-9, ]+)\s*(#\s*\S+|[-:]\s*\S+)")
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in _tracked("*.py")
        if path != Path(__file__).resolve()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if silenced.search(line) and not bare.search(line)
    ]
    assert found == []


def test_no_path_of_one_machine_is_committed() -> None:
    machine = re.compile(r"/work/(main|shared|\.library)|/root/|\bssh://|@localhost:\d+/simple")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in _tracked("*")
        if path.suffix in {".py", ".md", ".toml", ".yaml", ".yml", ".sh", ""} and path != Path(__file__).resolve()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if machine.search(line)
    ]
    assert found == []

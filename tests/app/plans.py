"""What Postgres does for a statement of the code: read from `auto_explain` while the code itself runs it.

So the plan is that of the statement as it is sent, under the options of the service's own connections, with its
parameters unknown to the planner where they are unknown in production.
"""

import ast
import importlib
import json
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from psycopg import AsyncConnection, conninfo
from psycopg.errors import Diagnostic

import app.db
from app.db.connection import Connection, parameters
from app.settings import Address, PostgresSettings
from hms.bench.servers import Postgres

_BEGINS = re.compile(r"\s*(SELECT|WITH|INSERT|UPDATE|DELETE)\b")
_TABLES = re.compile(r"\b(FROM|JOIN|INTO|UPDATE)\s+(icd10_\w+\b|bookmarks\b|search_logs\b|api_keys\b|\{table\})")
_PLACEHOLDER = re.compile(r"%s|%\(\w+\)s|\{\w*\}|\$\d+")

NOT_ASKED_BY_REQUESTS = {
    "history": "stores and switches whole releases by design",
    "words": "makes the vocabulary of a release when it is made current",
    "generate": "copies whole releases by design",
    "member": "the probe, over a table of a few rows",
}
"""Modules of `app.db` whose statements need no case, and why."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one statement touched: base tables and indexes that were executed, partitions by their own name."""

    query: str
    tables: frozenset[str]
    indexes: frozenset[str]
    scanned: frozenset[str]
    """Tables that were read from end to end."""


def statements() -> dict[str, str]:
    """Find every statement that requests may make: by module and line, the text in the code."""
    found: dict[str, str] = {}
    for path in sorted(Path(next(iter(app.db.__path__))).glob("*.py")):
        if path.stem in NOT_ASKED_BY_REQUESTS:
            continue
        module = importlib.import_module(f"{app.db.__name__}.{path.stem}")
        for line, text in _texts(ast.parse(path.read_text()), module):
            if _BEGINS.match(text) and _TABLES.search(text):
                found[f"{path.stem}:{line}"] = text
    return found


def _texts(tree: ast.Module, module: ModuleType) -> Iterator[tuple[int, str]]:
    """Yield each text that a module writes, with its line; not by itself what is a part of an f-string.

    An f-string is given with the values that the module's names have, and with `{}` for what is known only later.
    """
    joined = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    inside = {part for node in joined for part in ast.walk(node) if part is not node}
    names = {part.id for part in inside if isinstance(part, ast.Name)}
    parts = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        and {target.id for target in node.targets if isinstance(target, ast.Name)} & names
    }
    for node in ast.walk(tree):
        if node in inside or node in parts:
            continue
        if isinstance(node, ast.JoinedStr):
            yield node.lineno, "".join(_part(part, module) for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def _part(part: ast.expr, module: ModuleType) -> str:
    if isinstance(part, ast.Constant):
        return str(part.value)
    value = part.value if isinstance(part, ast.FormattedValue) else part
    return str(getattr(module, value.id, "{}")) if isinstance(value, ast.Name) else "{}"


def is_text_of(template: str, query: str) -> bool:
    """Say whether `query`, as Postgres saw it, is the statement that the code writes as `template`."""
    pieces = [re.escape(" ".join(piece.split())) for piece in _PLACEHOLDER.split(template.replace("%%", "%"))]
    return re.fullmatch(r"\s*.+?\s*".join(pieces).replace(r"\ ", r"\s+"), " ".join(query.split())) is not None


async def plans(
    server: Postgres, work: Callable[[Connection], Awaitable[object]], *, database: str = "hms"
) -> list[Plan]:
    """Do `work` as the service's connections would, and return the plan of each statement in it."""
    settings = PostgresSettings(
        hosts=(),
        database=database,
        user="postgres",
        password_file=None,
        ca_file=None,
        pool_size=1,
        connections=1,
        staleness_seconds=1,
    )
    address = Address(str(server.directory), server.port)
    text = parameters(address, settings, application="plans", statement_timeout_seconds=60)
    seen: list[str] = []

    def keep(diagnostic: Diagnostic) -> None:
        seen.append(str(diagnostic.message_primary))

    connection: Connection = await AsyncConnection.connect(
        conninfo.make_conninfo(text, sslmode="disable"), autocommit=True, prepare_threshold=0
    )
    async with connection:
        parents = await _parents(connection)
        await connection.execute("LOAD 'auto_explain'")
        for name, value in {
            "log_min_duration": "0",
            "log_analyze": "on",
            "log_timing": "off",
            "log_format": "json",
            "log_level": "notice",
        }.items():
            await connection.execute(f"SET auto_explain.{name} = {value}".encode())
        await connection.execute("SET client_min_messages = notice")
        connection.add_notice_handler(keep)
        await work(connection)
        connection.remove_notice_handler(keep)
    return [_plan(json.loads(message.split("plan:", 1)[1]), parents) for message in seen if "plan:" in message]


async def _parents(connection: Connection) -> dict[str, str]:
    cursor = await connection.execute(
        "SELECT inhrelid::regclass::text, inhparent::regclass::text FROM pg_inherits "
        "JOIN pg_class ON pg_class.oid = inhrelid AND relkind = 'i'"
    )
    return {str(child): str(parent) for child, parent in await cursor.fetchall()}


def _plan(explained: dict[str, Any], parents: dict[str, str]) -> Plan:
    nodes = [node for node in _nodes(explained["Plan"]) if node.get("Actual Loops", 0) > 0]
    names = {node["Index Name"] for node in nodes if "Index Name" in node}
    return Plan(
        query=explained["Query Text"],
        tables=frozenset(node["Relation Name"] for node in nodes if "Relation Name" in node),
        indexes=frozenset(parents.get(name, name) for name in names),
        scanned=frozenset(node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"),
    )


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)

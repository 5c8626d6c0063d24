"""How the tools stand, as a table for people and as a document for programs."""

from collections.abc import Sequence

from hms.tools.install import Standing

_HEADINGS = ("TOOL", "VERSION", "WANTED", "FROM", "STATE", "PATH")


def as_document(standings: Sequence[Standing]) -> list[dict[str, object]]:
    """Return one mapping a tool: name, version, wanted, origin, state, path, notes.

    `origin` is machine, download, built or apt, and empty with `state` missing; `path` is the first command's.
    """
    return [
        {
            "name": standing.tool.name,
            "purpose": standing.tool.purpose,
            "groups": list(standing.tool.groups),
            "version": standing.version,
            "wanted": standing.tool.accepts,
            "origin": standing.origin,
            "state": _state(standing),
            "path": _path(standing),
            "notes": list(standing.notes),
        }
        for standing in standings
    ]


def as_table(standings: Sequence[Standing]) -> str:
    """Return a table with a line a tool, and below it what was passed over or failed."""
    rows = [
        (s.tool.name, s.version or "-", s.tool.accepts, s.origin or "-", _state(s), _path(s) or "-") for s in standings
    ]
    widths = [max(len(row[column]) for row in (_HEADINGS, *rows)) for column in range(len(_HEADINGS))]
    lines = [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) for row in (_HEADINGS, *rows)
    ]
    notes = [f"{s.tool.name}: {line}" for s in standings for note in s.notes for line in note.splitlines()]
    return "\n".join(line.rstrip() for line in (*lines, *([""] if notes else []), *notes))


def _state(standing: Standing) -> str:
    if standing.installed:
        return "ready"
    return "not needed" if standing.on_demand else "missing"


def _path(standing: Standing) -> str:
    return str(next(iter(standing.paths.values()), ""))

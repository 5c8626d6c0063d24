"""A release of ICD-10-CM in memory: read from the package that carries it, and checked.

The figures that the checks demand are those of the April 2026 release in `simple-icd-10-cm` 1.5.0: 98,186 codes,
74,719 of them billable, 22 chapters, 297 blocks. 39 names (C50, R99, ...) are both a block and the one category in
it: the walk goes from block to category by kind and never by name alone, or those 39 codes would be lost.
"""

import hashlib
import warnings
from collections import Counter
from dataclasses import dataclass, field

import msgspec

from app.db.partitioning import partition_of
from app.errors import OutOfRangeError, ReleaseError

_ENCODER = msgspec.json.Encoder(order="deterministic")


class Notes(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the tabular list says beside a code's title; each line is one note of the list."""

    includes: tuple[str, ...] = ()
    excludes1: tuple[str, ...] = ()
    excludes2: tuple[str, ...] = ()
    code_first: tuple[str, ...] = ()
    code_also: tuple[str, ...] = ()
    use_additional_code: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    seventh_character_note: str = ""
    seventh_characters: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class CodeRow:
    """One code of a release, as it is stored."""

    code: str
    title: str
    synonyms: tuple[str, ...]
    kind: str
    chapter: int
    block: str
    parent: str | None
    children: tuple[str, ...]
    billable: bool
    notes: Notes


@dataclass(frozen=True, slots=True)
class GroupRow:
    """One chapter or block of a release, as it is stored."""

    kind: str
    name: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """The figures that a release must have to be made current."""

    codes: int
    billable: int
    chapters: int
    blocks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A release in memory. `digest` is over every stored field, so that two contents never go by one name."""

    name: str
    title: str
    codes: tuple[CodeRow, ...]
    groups: tuple[GroupRow, ...]
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        digest = hashlib.sha256()
        for row in (*self.groups, *self.codes):
            digest.update(_ENCODER.encode(row))
        object.__setattr__(self, "digest", digest.hexdigest())


APRIL_2026 = Expected(codes=98_186, billable=74_719, chapters=22, blocks=297)


def read_packaged() -> Release:
    """Read the release that the package `simple-icd-10-cm` carries. Takes seconds: the package parses 10 MB of XML."""
    with warnings.catch_warnings():
        # The package reads its data by functions that Python 3.11 calls deprecated, and later ones do not.
        warnings.simplefilter("ignore", DeprecationWarning)
        # Imported here because it costs seconds and 100 MB, which only a load shall pay; it carries no types.
        import simple_icd_10_cm as icd  # type: ignore[import-untyped]  # noqa: PLC0415 - untyped; parses at import

    groups: list[GroupRow] = []
    codes: list[CodeRow] = []

    def lines(text: str) -> tuple[str, ...]:
        return tuple(text.splitlines())

    def walk_code(code: str, *, parent: str | None, chapter: int, block: str) -> None:
        children = tuple(icd.get_children(code))
        codes.append(
            CodeRow(
                code=code,
                title=icd.get_description(code),
                synonyms=tuple(icd.get_inclusion_term(code)),
                kind="extension"
                if icd.is_extended_subcategory(code)
                else "category"
                if parent is None
                else "subcategory",
                chapter=chapter,
                block=block,
                parent=parent,
                children=children,
                billable=not children,
                notes=Notes(
                    includes=tuple(icd.get_includes(code)),
                    excludes1=tuple(icd.get_excludes1(code)),
                    excludes2=tuple(icd.get_excludes2(code)),
                    code_first=lines(icd.get_code_first(code)),
                    code_also=lines(icd.get_code_also(code)),
                    use_additional_code=lines(icd.get_use_additional_code(code)),
                    notes=lines(icd.get_notes(code)),
                    seventh_character_note=icd.get_seven_chr_note(code),
                    seventh_characters=icd.get_seven_chr_def(code),
                ),
            )
        )
        for child in children:
            walk_code(child, parent=code, chapter=chapter, block=block)

    for chapter in (name for name in icd.get_all_codes() if icd.is_chapter(name)):
        groups.append(GroupRow("chapter", chapter, icd.get_description(chapter)))
        for block in icd.get_children(chapter):
            groups.append(GroupRow("block", block, icd.get_description(block, prioritize_blocks=True)))
            for category in icd.get_children(block, prioritize_blocks=True):
                walk_code(category, parent=None, chapter=int(chapter), block=block)
    return Release(name="icd-10-cm-2026-04", title="ICD-10-CM, April 1, 2026", codes=tuple(codes), groups=tuple(groups))


def check(release: Release, expected: Expected) -> None:
    """Hold a release against the figures it must have. Raises `ReleaseError` that names every breach."""
    found = Expected(
        codes=len({row.code for row in release.codes}),
        billable=sum(row.billable for row in release.codes),
        chapters=sum(group.kind == "chapter" for group in release.groups),
        blocks=sum(group.kind == "block" for group in release.groups),
    )
    problems = [
        f"{name}: {getattr(found, name)}, must be {getattr(expected, name)}"
        for name in ("codes", "billable", "chapters", "blocks")
        if getattr(found, name) != getattr(expected, name)
    ]
    twice = [code for code, count in Counter(row.code for row in release.codes).items() if count > 1]
    if twice:
        problems.append(f"codes that are there twice: {', '.join(sorted(twice)[:10])}")
    known = {row.code for row in release.codes}
    lost = [row.code for row in release.codes if row.parent is not None and row.parent not in known]
    if lost:
        problems.append(f"codes whose parent is missing: {', '.join(lost[:10])}")
    for row in release.codes:
        try:
            partition_of(row.code)
        except OutOfRangeError as error:
            problems.append(str(error))
    if problems:
        raise ReleaseError(f"release {release.name}: " + "; ".join(problems))

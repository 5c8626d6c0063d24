"""The search as a list in pages: whole, in one order, narrowed by filters, corrected where nothing is written so."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.db.connection import Connection, connect
from app.db.corrections import corrections, distance
from app.db.cursor import START, Position
from app.db.matching import MOST_RANKED
from app.db.partitioning import CHAPTERS, partition_of
from app.db.query import EVERYTHING, Filters, Query
from app.db.search import FEW, MOST_HITS, Hit, search
from app.settings import PostgresSettings, from_environment
from hms.bench.servers import Postgres

T = TypeVar("T")


@pytest.fixture(scope="module")
def database(postgres: Postgres, database_environment: dict[str, str]) -> PostgresSettings:
    """Return how to reach the loaded database as the service does."""
    del postgres
    return from_environment(database_environment).postgres


def ask(database: PostgresSettings, work: Callable[[Connection], Awaitable[T]]) -> T:
    """Do `work` on a connection like the service's own."""

    async def run() -> T:
        connection = await connect(database.hosts[0], database, application="test-search", statement_timeout_seconds=60)
        async with connection:
            return await work(connection)

    return asyncio.run(run())


async def whole(connection: Connection, text: str, filters: Filters = EVERYTHING, *, sizes: list[int]) -> list[Hit]:
    """Read a list to its end, in pages of these sizes, again and again."""
    hits: list[Hit] = []
    position: Position | None = START
    turn = 0
    while position is not None:
        limit = sizes[turn % len(sizes)]
        page = await search(connection, Query.parse(text), filters, limit=limit, start=position)
        assert len(page.hits) == limit or page.next is None
        hits += page.hits
        position = page.next
        turn += 1
    return hits


LISTS = {
    "codes alone": ("s72.0", EVERYTHING),
    "codes, then words": ("t20", EVERYTHING),
    "few words": ("heart failure", EVERYTHING),
    "many words": ("left femur", EVERYTHING),
    "a broad word": ("fracture", Filters(chapter=13)),
    "a broad word, billable": ("unspecified", Filters(chapter=15, billable=True)),
    "a broad word, not billable": ("fracture", Filters(billable=False, chapter=19)),
    "a corrected word": ("pnemonia", EVERYTHING),
    "one hit, then corrected ones": ("rickettsia prowazeki", EVERYTHING),
    "nothing": ("xylophone", EVERYTHING),
}


@pytest.fixture(scope="module")
def lists(database: PostgresSettings) -> dict[str, list[Hit]]:
    """Return each list as pages of the greatest size give it."""

    async def work(connection: Connection) -> dict[str, list[Hit]]:
        return {
            name: await whole(connection, text, filters, sizes=[MOST_HITS]) for name, (text, filters) in LISTS.items()
        }

    return ask(database, work)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(sorted(LISTS)), sizes=st.lists(st.integers(1, MOST_HITS), min_size=1, max_size=4))
def test_pages_of_any_size_are_the_whole_list(
    database: PostgresSettings, lists: dict[str, list[Hit]], name: str, sizes: list[int]
) -> None:
    text, filters = LISTS[name]
    sizes = [max(size, len(lists[name]) // 200) for size in sizes]  # no more than some hundred pages
    assert ask(database, lambda connection: whole(connection, text, filters, sizes=sizes)) == lists[name]


@pytest.mark.parametrize("name", LISTS)
def test_no_code_is_in_a_list_twice_and_the_steps_follow_each_other(lists: dict[str, list[Hit]], name: str) -> None:
    hits = lists[name]
    assert len({hit.code for hit in hits}) == len(hits)
    order = ["code", "prefix", "words", "corrected"]
    assert all(order.index(left.match) <= order.index(right.match) for left, right in pairwise(hits))


@pytest.mark.parametrize(
    ("name", "condition"),
    [
        ("few words", "search @@ '(heart:* & failur:*)'"),
        ("many words", "search @@ '(left:* & femur:*)'"),
        ("a broad word", "search @@ 'fractur:*' AND chapter = 13"),
        ("a broad word, billable", "search @@ 'unspecifi:*' AND chapter = 15 AND billable"),
        ("a broad word, not billable", "search @@ 'fractur:*' AND chapter = 19 AND NOT billable"),
        ("codes alone", "code LIKE 'S72.0%'"),
        ("a corrected word", "search @@ 'pneumonia:*'"),
    ],
)
def test_a_list_has_all_codes_that_it_should_and_no_other(
    postgres: Postgres, lists: dict[str, list[Hit]], name: str, condition: str
) -> None:
    with postgres.connect() as connection:
        rows = connection.execute(f"SELECT code FROM icd10_codes WHERE active AND {condition}".encode()).fetchall()
    assert {hit.code for hit in lists[name]} == {str(row[0]) for row in rows}


def test_a_broad_list_has_its_categories_first_and_then_the_codes_in_their_order(lists: dict[str, list[Hit]]) -> None:
    hits = [hit.code for hit in lists["a broad word"]]
    assert len(hits) > MOST_RANKED
    categories = [code for code in hits if len(code) == 3]
    assert categories
    assert hits[: len(categories)] == categories
    assert hits[len(categories) :] == sorted(hits[len(categories) :])


def test_whole_words_of_a_title_come_before_beginnings_and_synonyms(database: PostgresSettings) -> None:
    hits = ask(database, lambda connection: whole(connection, "gout", sizes=[MOST_HITS]))
    titles = [hit.title.casefold() for hit in hits]
    last_whole = max(place for place, title in enumerate(titles) if "gout" in title.replace(",", "").split())
    assert [hit.code for hit in hits].index("E79.81") > last_whole, "Aicardi-Goutieres only begins like it"


@pytest.mark.parametrize(
    ("written", "plain"), [("ménière", "meniere"), ("Sjögren", "SJOGREN"), ("guillain-barré", "guillain barre")]
)
def test_accents_do_not_matter_in_the_question_nor_in_the_title(
    database: PostgresSettings, written: str, plain: str
) -> None:
    found = [
        ask(database, lambda connection, text=text: whole(connection, text, sizes=[MOST_HITS]))  # type: ignore[misc]  # a bound default
        for text in (written, plain)
    ]
    assert found[0]
    assert found[0] == found[1]
    assert {hit.match for hit in found[0]} == {"words"}


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        ("diabtes", "diabetes"),
        ("pnemonia", "pneumonia"),
        ("fracutre of femr", "fracture of femur"),
        ("astma with exacerbtion", "asthma with exacerbation"),
        ("hart failure", "heart failure"),
        ("hart falure", "heart failure"),
        ("gaut", "gout"),
        ("hypertention", "hypertension"),
        ("diabetic retinopthy", "diabetic retinopathy"),
    ],
)
def test_a_misspelt_word_is_corrected_and_its_hits_say_so(
    database: PostgresSettings, misspelt: str, meant: str
) -> None:
    page = ask(database, lambda connection: search(connection, Query.parse(misspelt), limit=5))
    assert page.corrected == meant
    assert {hit.match for hit in page.hits} == {"corrected"}
    straight = ask(database, lambda connection: search(connection, Query.parse(meant), limit=5))
    assert [hit.code for hit in page.hits] == [hit.code for hit in straight.hits]


@pytest.mark.parametrize(
    "text", ["asthma", "kienbock", "retinopathies", "S72.001A", "z23", "9999", "the of and", "arm"]
)
def test_what_is_written_well_or_is_no_word_is_not_corrected(database: PostgresSettings, text: str) -> None:
    page = ask(database, lambda connection: search(connection, Query.parse(text), limit=MOST_HITS))
    assert page.corrected is None


def test_hits_of_the_query_as_written_come_before_the_corrected_ones(lists: dict[str, list[Hit]]) -> None:
    matches = [hit.match for hit in lists["one hit, then corrected ones"]]
    assert matches.count("words") < FEW


def test_at_most_few_hits_ask_for_a_correction_and_an_autocompletion_never_does(database: PostgresSettings) -> None:
    page = ask(database, lambda connection: search(connection, Query.parse("pnemonia"), limit=5, correct=False))
    assert page.hits == ()


@given(st.text("abcdefgh", min_size=4, max_size=12), st.integers(0, 11))
def test_a_word_is_as_far_from_itself_as_letters_were_changed(word: str, place: int) -> None:
    assert distance(word, word, begun=False) == 0
    assert distance(word, word[:place] + word[place + 1 :], begun=False) <= 1
    assert distance(word, word[:place] + "x" + word[place:], begun=False) == 1


@pytest.mark.parametrize(
    ("text", "most"),
    [
        ("pnemonia", 6),
        ("fracutre of femr", 4),
        ("hart falure diabtes pnemonia astma fracutre kidny livr", 1),
        ("hart falure diabtes pnemonia astma fracutre kidny livr stomch", 0),
    ],
)
def test_the_more_words_a_query_has_the_fewer_corrections_are_tried(
    database: PostgresSettings, text: str, most: int
) -> None:
    query = Query.parse(text)
    tried = ask(database, lambda connection: corrections(connection, query, found=False))
    assert min(most, 1) <= len(tried) <= most
    assert query.words not in [each.words for each in tried]


def test_the_codes_of_each_chapter_are_all_in_the_one_partition_that_is_asked(postgres: Postgres) -> None:
    with postgres.connect() as connection:
        rows = connection.execute("SELECT code, chapter FROM icd10_codes WHERE active").fetchall()
    assert len(rows) == 98_186
    assert all(CHAPTERS[int(str(chapter))] == partition_of(str(code)) for code, chapter in rows)


def test_every_part_of_a_code_that_is_a_code_is_its_ancestor(postgres: Postgres) -> None:
    with postgres.connect() as connection:
        rows = connection.execute("SELECT code, parent FROM icd10_codes WHERE active").fetchall()
    parents = {str(code): parent for code, parent in rows}
    for code, parent in parents.items():
        above = set()
        up = parent
        while up is not None:
            above.add(str(up))
            up = parents[str(up)]
        assert {code[:length] for length in range(3, len(code))} & parents.keys() == above, code

"""What is searched for, made from the real titles by a seed: as people type."""

import random
import re

from hms.bench.servers import Postgres

_WORD = re.compile(r"[a-z]{5,}")

_CATEGORIES = b"SELECT code, title FROM icd10_codes WHERE active AND kind = 'category' ORDER BY code"


def sample(postgres: Postgres, count: int, *, seed: int) -> tuple[str, ...]:
    """Return `count` queries: of ten, four are two words of a title, three are one, two the beginning, one is a code.

    The titles are those of categories: were they of all codes, every second query would be of fractures, which are half
    of the release.
    """
    with postgres.connect() as connection:
        categories = connection.execute(_CATEGORIES).fetchall()
    choose = random.Random(seed)  # noqa: S311 - no secret
    queries: list[str] = []
    while len(queries) < count:
        code, title = map(str, choose.choice(categories))
        words = _WORD.findall(title.lower())
        if len(words) < 2:
            continue
        first, second = choose.sample(words, 2)
        match len(queries) % 10:
            case 0 | 1 | 2 | 3:
                queries.append(f"{first} {second}")
            case 4 | 5 | 6:
                queries.append(first)
            case 7 | 8:
                queries.append(first[:-2])
            case _:
                queries.append(code)
    return tuple(queries)

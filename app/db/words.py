"""The vocabulary of the current release: each word of its titles and synonyms, from which misspelt ones are corrected.

Only the current release has one: it is made anew, in a second, by whoever makes a release current, in the same
transaction. A search in an old release corrects nothing.
"""

from app.db.connection import Connection

# Words as they are written, without accents; what has digits or is shorter is a matter of codes, not of spelling.
REBUILD = """
INSERT INTO icd10_words (word, stem, codes)
SELECT word, coalesce((ts_lexize('english_stem', word))[1], word), ndoc FROM ts_stat(
    'SELECT to_tsvector(''public.icd10_as_written'', icd10_folded(title || '' '' || synonyms)) '
    'FROM icd10_codes WHERE active'
)
WHERE word ~ '^[a-z]{3,}$'
"""


async def rebuild(connection: Connection) -> None:
    """Make the vocabulary that of the release that is active in this transaction."""
    await connection.execute("DELETE FROM icd10_words")
    await connection.execute(REBUILD)
    await connection.execute("ANALYZE icd10_words")

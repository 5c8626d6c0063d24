"""The scenario `first`: search, look-up and bookmarks, mixed."""

from urllib.parse import quote

from locust import tag, task

from loadtests.open_loop import OpenLoopUser
from loadtests.popularity import Zipf
from loadtests.queries import typed_query
from loadtests.terms import Term, load_terms

ZIPF_EXPONENT = 1.0
"""The classical value for words in a text; a few terms are asked for often, most of them rarely."""

USERS = 1000
"""How many people keep bookmarks; each is as likely to set one as any other."""


class First(OpenLoopUser):
    """60 % searches, 30 % look-ups, 10 % bookmarks set, on terms of the release by Zipf's law with exponent 1."""

    terms = load_terms()
    popularity = Zipf(size=len(terms), exponent=ZIPF_EXPONENT)

    def _term(self) -> Term:
        return self.terms[self.popularity.draw(self.random)]

    @tag("read")
    @task(60)
    def search(self) -> None:
        """Search for words of a term as a person types them."""
        query = typed_query(self._term().description, self.random)
        self.client.get(f"/api/v1/search?q={quote(query)}", name="search")

    @tag("read")
    @task(30)
    def lookup(self) -> None:
        """Look a code up."""
        self.client.get(f"/api/v1/codes/{self._term().code}", name="lookup")

    @tag("write")
    @task(10)
    def bookmark(self) -> None:
        """Set a bookmark; idempotent, so that a code that is marked already is as good."""
        user = f"load-{self.random.randrange(USERS)}"
        self.client.put(f"/api/v1/users/{user}/bookmarks/{self._term().code}", name="bookmark")

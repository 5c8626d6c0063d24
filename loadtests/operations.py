"""What clients of the stack do, one request each, and the user classes that mix it as the scenarios say."""

from functools import cached_property, partial
from types import new_class
from typing import Any, ClassVar
from urllib.parse import quote

from locust import tag
from locust.contrib.fasthttp import FastHttpSession
from locust.env import Environment

from loadtests.open_loop import OpenLoopUser
from loadtests.popularity import Zipf
from loadtests.queries import settled_query, typed_query
from loadtests.scenario import Scenario, class_name, load_scenarios
from loadtests.terms import Term, load_terms
from loadtests.typing_people import TypingPeople

USERS = 1000
"""How many people keep bookmarks; each is as likely to set one as any other."""

BATCH_CODES = 50
WARM_TERMS = 50
"""So few that each was asked for before, and asked for again long before the cache forgets it."""

LIMITS_COLD = range(16, 26)
"""How many hits a cold search asks for: another number is another answer, so the same words need not be cached."""

TOO_MANY, UNAVAILABLE = 429, 503


class TerminologyUser(OpenLoopUser):
    """A stream of requests to the service, mixed as `scenario` says."""

    abstract = True
    scenario: ClassVar[Scenario]
    terms = load_terms()

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self._popularity = Zipf(size=len(self.terms), exponent=self.scenario.zipf_exponent)
        self._warm = Zipf(size=WARM_TERMS, exponent=self.scenario.zipf_exponent)
        self._people = TypingPeople(self._query, rate_per_second=self.options.rate_per_second, random=self.random)

    @cached_property
    def _stranger(self) -> FastHttpSession:
        """The client without a key: its requests are those of one address."""
        return self.session(headers={})

    @tag("read")
    def search(self) -> None:
        """Search for words of a term as a person types them."""
        self.client.get(f"/api/v1/search?q={quote(self._query())}", name="search")

    @tag("read")
    def typed(self) -> None:
        """Type a letter more, which asks for suggestions; whoever has typed it all searches for it."""
        text, whole = self._people.next_letter()
        if whole:
            self.counts_as("search")
            self.client.get(f"/api/v1/search?q={quote(text)}", name="search")
        else:
            self.client.get(f"/api/v1/autocomplete?q={quote(text)}", name="typed")

    @tag("read")
    def lookup(self) -> None:
        """Look a code up."""
        self.client.get(f"/api/v1/codes/{self._term().code}", name="lookup")

    @tag("read")
    def batch(self) -> None:
        """Look the codes of a bill up."""
        codes = [self._term().code for _ in range(BATCH_CODES)]
        self.client.post("/api/v1/codes/batch", json={"codes": codes}, name="batch")

    @tag("read")
    def search_warm(self) -> None:
        """Search for one of a few texts that are always the same."""
        self.client.get(f"/api/v1/search?q={quote(settled_query(self._warm_term().description))}", name="search_warm")

    @tag("read")
    def lookup_warm(self) -> None:
        """Look one of a few codes up."""
        self.client.get(f"/api/v1/codes/{self._warm_term().code}", name="lookup_warm")

    @tag("read")
    def search_cold(self) -> None:
        """Search for what hardly anybody has searched for just before."""
        self.client.get(self._cold_path(), name="search_cold")

    @tag("write")
    def bookmark(self) -> None:
        """Set a bookmark; idempotent, so that a code that is marked already is as good."""
        self.client.put(self._bookmark_path(), name="bookmark")

    @tag("write")
    def unmark(self) -> None:
        """Take a bookmark away; one that is not there is as good."""
        self.client.delete(self._bookmark_path(), name="unmark")

    @tag("abuse")
    def abuse(self) -> None:
        """Search without a key; to be turned away for it is what is wanted, and counts as `turned_away`."""
        path = f"/api/v1/search?q={quote(self._query())}"
        self._refusable(self._stranger, path, name="abuse", refusal=(TOO_MANY, "turned_away"))

    @tag("read")
    def flood(self) -> None:
        """Search, cold; to be refused because there is no room counts as `refused`, not as a failure."""
        self._refusable(self.client, self._cold_path(), name="flood", refusal=(UNAVAILABLE, "refused"))

    def _refusable(self, client: FastHttpSession, path: str, *, name: str, refusal: tuple[int, str]) -> None:
        """Ask, and count the refusal, a status, under a name of its own, in Locust's own statistics as well."""
        status, refused = refusal
        with client.get(path, name=name, catch_response=True) as answer:
            if answer.status_code == status:
                self.counts_as(refused)
                answer.request_meta["name"] = refused
                answer.success()

    def _term(self) -> Term:
        return self.terms[self._popularity.draw(self.random)]

    def _warm_term(self) -> Term:
        return self.terms[self._warm.draw(self.random)]

    def _query(self) -> str:
        return typed_query(self._term().description, self.random, misspelt_percent=self.scenario.misspelt_percent)

    def _cold_path(self) -> str:
        return f"/api/v1/search?q={quote(self._query())}&limit={self.random.choice(LIMITS_COLD)}"

    def _bookmark_path(self) -> str:
        return f"/api/v1/users/load-{self.random.randrange(USERS)}/bookmarks/{self._term().code}"


def user_classes() -> dict[str, type[TerminologyUser]]:
    """Return a Locust user class for each scenario, by the class's name."""
    made: dict[str, type[TerminologyUser]] = {}
    for name, scenario in load_scenarios().items():
        made[class_name(name)] = new_class(class_name(name), (TerminologyUser,), exec_body=partial(_fill, scenario))
    return made


def _fill(scenario: Scenario, members: dict[str, Any]) -> None:
    """Write the body of a scenario's class."""
    operations = {getattr(TerminologyUser, name): weight for name, weight in scenario.operations.items()}
    members.update(__doc__=scenario.statement, __module__=__name__, scenario=scenario, tasks=operations)

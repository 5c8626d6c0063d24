"""The scenarios: who asks for what, in which mix. One a file; each is a Locust user class of its own.

May import: loadtests.open_loop, loadtests.terms, loadtests.queries, loadtests.popularity.
"""

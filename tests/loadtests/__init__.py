"""Tests of the load generator: pure parts by their properties, Locust as a process of its own against real servers.

May import: hms, loadtests, tests.
"""

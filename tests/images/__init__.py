"""Tests of the images: their digests, their Containerfiles, the archives and the builds.

May import: hms, tests.
"""

"""Filling a running stack: a history of releases, by the service's own program, and months of searches.

May import: hms.
"""

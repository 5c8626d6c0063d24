"""The report of evidence: a terminal's table, one HTML file, JUnit XML and CSV.

May import: hms.
"""

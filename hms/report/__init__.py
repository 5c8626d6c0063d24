"""The report of evidence: a terminal's table, one HTML file, JUnit XML and CSV.

May import: hms.
"""

from hms.report.page import write_report

__all__ = ["write_report"]

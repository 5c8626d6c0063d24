"""The whole, in one go: provision, check, load, break, judge, report. It calls the rooms and adds nothing to them.

May import: hms, smoke, loadtests, drills.
"""

from hms.prove.plan import PROVED_RATE_PER_SECOND, ProvePlan
from hms.prove.run import prove

__all__ = ["PROVED_RATE_PER_SECOND", "ProvePlan", "prove"]

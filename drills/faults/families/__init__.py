"""The families of faults, each drill with its words and figures: data over the classes beside this folder.

May import: hms.
"""

from drills.faults.families.app import APP
from drills.faults.families.cluster import CLUSTER
from drills.faults.families.node import NODE
from drills.faults.families.postgres import POSTGRES, SWEEP
from drills.faults.families.redis import REDIS
from drills.faults.families.soak import SOAK

__all__ = ["APP", "CLUSTER", "NODE", "POSTGRES", "REDIS", "SOAK", "SWEEP"]

"""The locustfile: `locust -f loadtests/locustfile.py --host http://...` as Locust's users know it.

Each Locust user is a stream of arrivals (see `loadtests.open_loop`): `--users 5 --stream-rate 20` is 100 requests a
second. `hms load` runs the same file in the cluster.
"""

from loadtests.reporting import register
from loadtests.scenarios.first import First

register()

__all__ = ["First"]

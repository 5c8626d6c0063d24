"""The locustfile: `locust -f loadtests/locustfile.py Typing --host http://...` as Locust's users know it.

Each Locust user is a stream of arrivals (see `loadtests.open_loop`): `--users 5 --stream-rate 20` is 100 requests a
second. A user class is a scenario (`scenarios.toml`); name one, or all of them share the streams. Tags, the web page
and workers are Locust's own. `hms load` runs the same file in the cluster.
"""

from loadtests.operations import user_classes
from loadtests.reporting import register
from loadtests.streams_shape import Streams

register()
globals().update(user_classes())

__all__ = ["Streams"]

"""A lease that nobody renews: what a Patroni that hangs over a Postgres that serves looks like.

Once such a lease runs out, Patroni's race promotes one standby while another still confirms what the old primary takes:
those writes are acknowledged and lost (a drill lost 8). So the witnesses free the key before, behind their fences.
"""

from witness.core import Vote


class Lease:
    """Counts ticks in a row in which a lease stood as it was and its holder's Patroni said nothing.

    A tick counts only if the API server was asked in it and answered: who cannot read it, or was not running himself,
    knows nothing of renewals. What Patroni says at all is a reason to leave the rest to it: its race does not promote
    anyone beside a primary that answers.
    """

    def __init__(self, ticks: int) -> None:
        self._most = ticks
        self._lease: Vote | None = None
        self._ticks = 0

    @property
    def seen(self) -> Vote | None:
        """The lease as it stood at the last tick."""
        return self._lease

    def patroni_answered(self) -> None:
        """Begin anew: the holder's Patroni lives."""
        self._ticks = 0

    def tick(self, lease: Vote | None, *, was_read: bool) -> None:
        """Count a tick after which the lease stands so; None is a free key, or one that this member holds."""
        stands = was_read and lease is not None and lease == self._lease
        self._ticks = self._ticks + 1 if stands else 0
        self._lease = lease

    def is_stale(self, lease: Vote | None) -> bool:
        """Tell whether this lease has stood for as many ticks as no live holder lets pass."""
        return lease is not None and lease == self._lease and self._ticks >= self._most

"""How long an answer is kept, and when it is computed anew before its time. Pure, but for the chance that is given."""

from math import log

_LEAST_OF_TTL = 0.9


def jittered_ms(ttl_seconds: float, chance: float) -> int:
    """Return the milliseconds to keep an answer for: nine tenths to all of `ttl_seconds`, by a chance from 0 to 1.

    What was kept at once, after a start or a switch, shall not go at once.
    """
    return max(1, round(ttl_seconds * 1000 * (_LEAST_OF_TTL + (1 - _LEAST_OF_TTL) * chance)))


def is_due_early(*, left_ms: float, cost_ms: float, chance: float) -> bool:
    """Say whether who found an answer that is kept for `left_ms` more shall compute it anew, by a chance in (0, 1].

    XFetch (Vattani, Chierichetti, Lowenstein: Optimal Probabilistic Cache Stampede Prevention, 2015), with beta 1: the
    dearer the answer and the nearer its end, the more likely; so one of many computes it while the others still
    have it.
    """
    return left_ms <= -cost_ms * log(chance)

"""The witness: beside each Postgres member, it may free the key of a leader that fell silent, and loses nothing by it.

The decision is `core.decide`, pure, and checked through every interleaving of a small cluster by `tests/witness`. The
rest is a thin shell: `record` reads and writes the API's objects as text, `kube` carries them, `news` has the last of
them, `probe` asks the leader, `lease` watches its renewals, `pods` knows which are gone, `fence` keeps this member's
standby from confirming, `session` asks that, `debt` tells when it lacks nothing more, `deposed` ends this member's
primary when another leads, `program` runs them, `metrics` and `log` tell what was done. `instances` and `front` are the
same for the service: one that is silent is marked as not ready, and gets no requests.

May import: nothing of the others.
"""

"""The witnesses' decision: when a silent leader's key may be taken away, without losing an acknowledged write.

One module so far, `core`, and it is pure: what the API and the standby show goes in, the next thing to do comes out.
`docs/decisions/witness.md` says what it stands on; `tests/witness/explorer.py` runs it through every interleaving of
a small cluster. The program around it is not built, and the stack deploys none.

May import: nothing of ours.
"""

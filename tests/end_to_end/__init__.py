"""What a user does, on a real cluster: `hms prove`, its evidence, a second one beside it, an interruption.

May import: drills, hms, infra, loadtests, smoke, tests.
"""

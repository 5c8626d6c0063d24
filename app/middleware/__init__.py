"""What stands before every route: observation, limits, the deadline.

May import: nothing of ours but `app`.
"""

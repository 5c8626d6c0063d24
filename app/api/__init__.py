"""The routes: what a client can ask, and the shapes of the answers.

May import: nothing of ours but `app`.
"""

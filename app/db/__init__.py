"""What the service knows of its database: members and the ways to them, tables, release, search, bookmarks.

May import: nothing of ours but `app`.
"""

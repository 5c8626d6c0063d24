"""What the service can do without: the cache.

May import: nothing of ours but `app`.
"""

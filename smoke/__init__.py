"""Is the running stack what its Inventory declares? testinfra over kubectl, answers from kernel, servers and API.

May import: hms.
"""

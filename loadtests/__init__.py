"""Does the stack carry the load? Locust with open-loop arrivals, HDR histograms and an account of what was dropped.

May import: hms.
"""

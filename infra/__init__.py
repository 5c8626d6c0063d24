"""The Pulumi program: a `StackSpec` in, an `Inventory` out; one component a file.

May import: hms.
"""

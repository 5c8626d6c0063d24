"""Tests of the Pulumi program, against Pulumi's mocks.

May import: infra, hms, tests, and the settings of app.
"""

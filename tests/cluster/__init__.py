"""Tests of `hms/cluster`: its pure parts, and one real cluster."""

"""Backfills: what they are asked with and told by, how one is planned, and how one stands."""

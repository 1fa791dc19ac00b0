"""Render, test and run one task."""

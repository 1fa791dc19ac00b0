"""The version of this plugin."""

__version__ = "0.1.0"

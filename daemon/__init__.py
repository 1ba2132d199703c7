"""The engine of moveout, its modules in the order the data flows: see README.md beside this file."""

__version__ = "0.1.0"

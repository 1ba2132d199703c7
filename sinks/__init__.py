"""Sinks: what a change is, what a sink promises, and the sinks that ship. Imports nothing of the engine."""

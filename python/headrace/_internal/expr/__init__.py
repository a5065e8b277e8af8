"""Expressions as the user builds them, and what they become: native expressions of the engine."""

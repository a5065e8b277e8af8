"""Inner parts of the package: import nothing from here in user code."""

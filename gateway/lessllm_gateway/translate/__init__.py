"""One API format into another, sans I/O: a module for each direction."""

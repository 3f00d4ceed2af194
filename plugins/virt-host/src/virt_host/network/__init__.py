"""Virtual networks of a Linux host."""

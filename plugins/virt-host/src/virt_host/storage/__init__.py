"""Storage pools and volumes of a Linux host."""

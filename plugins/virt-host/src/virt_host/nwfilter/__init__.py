"""Network filters of a Linux host: what guests may send and receive."""

"""A complete third-party driver for virtcore, to start one's own from."""

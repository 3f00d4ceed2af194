"""FreeBSD bhyve driver for virtcore."""

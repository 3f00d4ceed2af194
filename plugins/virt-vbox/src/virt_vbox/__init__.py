"""VirtualBox driver for virtcore."""

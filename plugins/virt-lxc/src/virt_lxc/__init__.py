"""Linux container driver for virtcore."""

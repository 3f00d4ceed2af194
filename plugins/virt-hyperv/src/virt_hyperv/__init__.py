"""Microsoft Hyper-V driver for virtcore."""

"""The command line virtsh: virsh's commands and habits on virtcore."""

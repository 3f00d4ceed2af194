"""virtsh: virsh's commands, options and output on virtcore."""

"""libvirt's RPC protocol for virtcore: client driver and the daemon virtcored."""

"""Host services of a Linux host for virtcore: networks, storage pools, node devices, filters, secrets, interfaces."""

"""VMware ESX, vCenter and Desktop driver for virtcore."""

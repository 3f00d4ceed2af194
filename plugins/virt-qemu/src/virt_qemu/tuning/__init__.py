"""Settings of guests: what of a changed configuration a running guest is told, and how."""

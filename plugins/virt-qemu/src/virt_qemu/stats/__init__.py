"""Information and statistics of guests: few questions, asked together, never waiting for a stuck guest."""

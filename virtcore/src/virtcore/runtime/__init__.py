"""What runs operations: the core loop, worker threads, calls and deadlines, event delivery, the process launcher."""

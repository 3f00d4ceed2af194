"""What runs operations: the core loop, worker threads, calls and their deadlines, event delivery, the process launcher."""

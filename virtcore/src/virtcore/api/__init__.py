"""What a user holds: connections, domains and streams, for threads (:mod:`~virtcore.api.sync`) and for coroutines
(:mod:`~virtcore.api.aio`)."""

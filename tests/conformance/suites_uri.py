"""Adapter of suite ``uri``."""

from __future__ import annotations

from typing import Any

from virtcore.uri import URI, ConnectionURI, format_params


def uri(case: Any) -> dict[str, Any]:
    text = case.params["uri"]
    parts = URI.parse(text)
    params = parts.params()
    written = parts._replace(query=format_params(params) or None)
    if parts.server is not None:  # the same text as a connection URI
        assert str(ConnectionURI.parse(text)._replace(raw_query=None)) == written.format()
    return {
        "scheme": parts.scheme,
        "server": parts.server,
        "port": parts.port,
        "path": parts.path,
        "query": parts.query,
        "fragment": parts.fragment,
        "user": parts.user,
        "params": [list(pair) for pair in params],
        "formatted": written.format(),
    }

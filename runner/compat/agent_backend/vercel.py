"""agent-backend's adapter to MCP clients: waits for the transport that a backend gives."""

from __future__ import annotations

from typing import Any


class VercelAIAdapter:
    """An MCP client for a backend.

    Backends on this machine have no MCP transport yet, and say so as `NotImplementedBackendError`.
    """

    def __init__(self, backend: Any, *, connection_timeout_ms: int = 15000) -> None:
        self._backend = backend
        self._connection_timeout_ms = connection_timeout_ms

    async def get_mcp_client(self) -> Any:
        """The backend's own client, which is closed with the backend.

        Raises:
            NotImplementedBackendError: the backend has none.
        """
        client = await self._backend.get_mcp_client()
        self._backend.track_closeable(client)
        return client

"""The one HTTP request that local mode makes: is this gateway ready?"""

import asyncio
import contextlib


async def status_of(port: int, path: str, timeout_s: float = 2.0) -> int | None:
    """The status of `GET path` on the loopback, or `None` when nothing answers in time."""
    with contextlib.suppress(OSError, TimeoutError, ValueError, IndexError):
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
                return int((await reader.readline()).split()[1])
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    return None

"""What is told of a broker that cannot be reached, against a server that answers as scripted."""

import asyncio
import itertools
import json
import socket
import struct

import pytest
from tailrace_broker.connection import connect
from tailrace_protocol.errors import TailraceError
from tailrace_protocol.settings import NatsSettings

_INFO = json.dumps({"server_id": "A", "version": "2.11.0", "max_payload": 1048576, "proto": 1, "auth_required": True})


async def _refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(f"INFO {_INFO}\r\n".encode())
    await reader.readuntil(b"PING\r\n")
    writer.write(b"-ERR 'Authorization Violation'\r\n")
    await writer.drain()
    writer.close()


async def _reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(f"INFO {_INFO}\r\n".encode())
    await reader.readuntil(b"PING\r\n")
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _reason(*answers) -> str:
    """What `connect` says of a server that gives `answers` in turn, the last of them ever after."""
    script = itertools.chain(answers, itertools.repeat(answers[-1]))
    server = await asyncio.start_server(lambda reader, writer: next(script)(reader, writer), "127.0.0.1", 0)
    async with server:
        url = f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(TailraceError) as caught:
            await connect(NatsSettings(servers=[url], user="worker"), "test", within_s=0.5)
    return str(caught.value)


async def test_a_refusal_is_still_the_reason_when_the_next_one_is_a_reset():
    assert "refuses the user 'worker'" in await _reason(_refuse, _reset)


async def test_a_server_that_only_hangs_up_refuses_nobody():
    reason = await _reason(_reset)
    assert "refuses" not in reason
    assert "reset" in reason


async def test_a_refusal_that_comes_after_a_reset_is_the_reason():
    assert "refuses the user 'worker'" in await _reason(_reset, _refuse)

"""A whole Tailrace for tests in another language: started by them, driven over stdin, gone when stdin is closed.

Arguments: the directory of tests/support/stack.py and the StreamingModel's spec as JSON. Each line on stdin is a
command as JSON; each gets one line as an answer:

    {"start": "gateway", "heartbeat_s": 0.3}    -> {"name": "gateway-0", "url": "http://127.0.0.1:..."}
    {"start": "worker", "tokens_per_s": 100}    -> {"name": "worker-1"}
    {"kill": "worker-1"}                        -> {"name": "worker-1"}
"""

import asyncio
import json
import sys
import tempfile
from pathlib import Path


async def main() -> None:
    support, spec = sys.argv[1:]
    sys.path.append(support)
    from stack import running_stack

    with tempfile.TemporaryDirectory(prefix="tailrace-sdk-") as state:
        async with running_stack(Path(state), json.loads(spec)) as stack:
            while line := await asyncio.to_thread(sys.stdin.readline):
                print(json.dumps(await carry_out(stack, json.loads(line))), flush=True)


async def carry_out(stack, command):
    match command:
        case {"start": "gateway", **settings}:
            gateway = await stack.gateway(**settings)
            return {"name": gateway.name, "url": gateway.url}
        case {"start": "worker", **settings}:
            return {"name": (await stack.worker(**settings)).name}
        case {"kill": name}:
            next(process for process in stack.processes if process.name == name).kill()
            return {"name": name}
    raise ValueError(f"unknown command: {command}")


asyncio.run(main())

"""The engine as vLLM's serving classes see it: one that may have produced a part of the answer already.

They touch an engine through one method, `generate`. This one first replays what the log holds, then asks the real
engine for the rest. A first run is the replay of nothing: there is one code path.
"""

import copy
from collections.abc import AsyncGenerator
from contextlib import aclosing
from contextvars import ContextVar
from typing import Any

from tailrace_worker.engines.vllm.internals import AsyncLLM, Outputs, RequestOutput, SamplingParams
from tailrace_worker.engines.vllm.prompt import Prompt
from tailrace_worker.engines.vllm.session import Session

#: The attempt in whose task the serving class runs.
current_session: ContextVar[Session] = ContextVar("current_session")


class ContinuableEngine:
    """Wraps the real engine; everything but `generate` is the real engine's own."""

    def __init__(self, engine: AsyncLLM) -> None:
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def generate(self, prompt: Any, sampling_params: SamplingParams, request_id: str, **options: Any) -> Outputs:
        """Check the request at once; the returned generator replays and continues.

        Raises what vLLM raises for a request that it refuses.
        """
        session = current_session.get(None)
        if session is None:
            outputs: Outputs = self._engine.generate(prompt, sampling_params, request_id, **options)
            return outputs
        asked = Prompt(self._engine, session, prompt, copy.copy(sampling_params), request_id, options)
        return _answered(asked, session)


async def _answered(asked: Prompt, session: Session) -> AsyncGenerator[RequestOutput, None]:
    session.good.set()
    try:
        async with aclosing(_delivered(asked, session)) as outputs:
            async for output in outputs:
                yield output
    except Exception as error:
        session.failure = error  # the serving class makes an event of it, which tells less
        raise


async def _delivered(asked: Prompt, session: Session) -> AsyncGenerator[RequestOutput, None]:
    async with aclosing(asked.moves()) as moves:
        async for move in moves:
            async with session.turn:
                output = asked.output(move)
                if output is not None:
                    yield output
                if move.logged:
                    session.replayed(move.group)
                else:
                    await session.settle(move.group)

"""vLLM as the worker's engine: its own serving classes, on top of an engine that can continue."""

import argparse
import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from typing import Any

from tailrace_protocol.errors import ErrorCode, TailraceError
from tailrace_protocol.settings import VllmSettings

from tailrace_worker.engines.engine import Job, Progress, Step
from tailrace_worker.engines.vllm import body, launch, refusal
from tailrace_worker.engines.vllm.continuable import ContinuableEngine, current_session
from tailrace_worker.engines.vllm.frames import FrameError
from tailrace_worker.engines.vllm.internals import AsyncLLM, ErrorResponse, ServingObjects, build_serving
from tailrace_worker.engines.vllm.session import Session
from tailrace_worker.engines.vllm.steps import Steps
from tailrace_worker.engines.vllm_core import failure_note

log = logging.getLogger("tailrace.worker.vllm")


class VllmEngine:
    """One model on one vLLM, which runs in processes of its own."""

    def __init__(self, settings: VllmSettings, served_name: str, capacity: int) -> None:
        self._settings = settings
        self._served_name = served_name
        self._capacity = capacity
        self._engine: AsyncLLM | None = None
        self._serving: ServingObjects | None = None
        self._own = contextlib.ExitStack()
        self._note: failure_note.Note | None = None

    @property
    def capacity(self) -> int:
        """How many streams it runs at once."""
        return self._capacity

    @property
    def healthy(self) -> bool:
        """Whether the engine's processes live."""
        return self._engine is not None and not self._engine.errored

    @property
    def failure(self) -> str:
        """What its processes told when they died."""
        return self._note.latest() if self._note is not None else ""

    @property
    def running(self) -> int:
        """How many generations vLLM has under way; a request with several choices has several."""
        return 0 if self._engine is None else int(self._engine.get_num_unfinished_requests())

    async def start(self, progress: Progress) -> None:
        """Load the model.

        Raises:
            CannotRunError: with the argument that is wrong and the remedy.
        """
        arguments = await asyncio.to_thread(launch.parse, self._settings.args, self._served_name)
        self._note = self._own.enter_context(failure_note.collected())
        engine = await launch.start(arguments, progress, self._note)
        try:
            self._serving = await _serving_on(engine, arguments)
        except BaseException:
            await launch.stop(engine)
            raise
        self._engine = engine
        progress("ready")

    async def stop(self) -> None:
        """Stop vLLM's processes."""
        engine, self._engine, self._serving = self._engine, None, None
        if engine is not None:
            await launch.stop(engine)
        self._own.close()

    async def generate(self, job: Job) -> AsyncGenerator[Step, None]:
        """Check the request and begin to answer it.

        Raises:
            TailraceError: a request that vLLM refuses; `engine_failed` when there is no engine.
        """
        if self._serving is None or not self.healthy:
            raise TailraceError(ErrorCode.ENGINE_FAILED, "vLLM is not running")
        session = Session(job, asyncio.get_running_loop().time)
        steps = Steps(session, asyncio.create_task(self._answer(self._serving, session)))
        try:
            await steps.good()
        except BaseException:
            await steps.aclose()
            raise
        return steps

    async def _answer(self, serving: ServingObjects, session: Session) -> None:
        """Have vLLM's serving class answer; what happens underneath goes to the session."""
        current_session.set(session)
        kind = session.job.request.kind
        request: Any = None
        try:
            request = body.parse(session.job)
            create = serving.chat if kind == "chat" else serving.completion
            await _relay(await create(request), session)
            await session.finish()
        except Exception as error:
            failure = refusal.of_exception(session.failure or error, kind, request)
            log.info("engine.refused stream=%s code=%s", session.job.request.stream, failure.code)
            raise failure from error
        finally:
            session.good.set()
            session.close()


async def _serving_on(engine: AsyncLLM, arguments: argparse.Namespace) -> ServingObjects:
    try:
        return await build_serving(ContinuableEngine(engine), arguments)
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise launch.bad_argument(f"vllm.args: {error}; correct the argument") from error


async def _relay(result: Any, session: Session) -> None:
    if isinstance(result, ErrorResponse):
        raise FrameError(result.error.model_dump())
    if not session.job.request.streaming:
        session.answer(result.model_dump_json().encode())
        return
    session.good.set()
    async for event in result:
        session.frame(event)

"""Fixtures over real processes. Each test gets its own broker, so that none sees another's streams."""

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from stack import Process, Stack, running_stack


@pytest.fixture
async def stack(tmp_path) -> AsyncIterator[Stack]:
    async with running_stack(tmp_path) as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=60) as http:
        yield http


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one_stack(tmp_path_factory) -> AsyncIterator[Process]:
    """A gateway with a worker behind it, shared by the tests of a module that leave nothing behind."""
    async with running_stack(tmp_path_factory.mktemp("stack")) as running:
        await running.worker(tokens_per_s=1000)
        yield await running.gateway()

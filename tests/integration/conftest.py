"""Fixtures over real processes. Each test gets its own broker, so that none sees another's streams."""

from collections.abc import AsyncIterator

import httpx
import pytest
from stack import Stack, running_stack


@pytest.fixture
async def stack(tmp_path) -> AsyncIterator[Stack]:
    async with running_stack(tmp_path) as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=60) as http:
        yield http

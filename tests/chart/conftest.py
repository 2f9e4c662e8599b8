"""Helm for the tests of the chart: where there is none they say so, and under CI=true they fail."""

import os
from pathlib import Path

import pytest
from harness.errors import UnavailableError

from . import helm as helms

FOLDER = Path(__file__).parent
#: Helm is built when it is needed for the first time: three minutes.
FIRST_S = 900


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if FOLDER in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(FIRST_S))


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> helms.Helm:
    try:
        binary = helms.find()
    except UnavailableError as error:
        reason = f"the chart is not tested without Helm: put helm on the PATH, or {error}"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    return helms.Helm(binary, tmp_path_factory.mktemp("helm"))

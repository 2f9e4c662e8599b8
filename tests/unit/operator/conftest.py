"""Documents that these tests begin with."""

from typing import Any

import pytest
from tailrace_operator.resources import StreamingGateway, StreamingModel


class Documents:
    """StreamingModels as they are read from YAML: simulated, unless the spec says otherwise."""

    @staticmethod
    def document(name: str = "echo", metadata: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
        return {
            "apiVersion": "tailrace.dev/v1alpha1",
            "kind": "StreamingModel",
            "metadata": {"name": name, **(metadata or {})},
            "spec": {"engine": {"simulated": {}}, **spec},
        }

    @classmethod
    def vllm(cls, **vllm: Any) -> dict[str, Any]:
        return {"model": {"source": {"path": "m"}}, "engine": {"vllm": vllm}}

    @classmethod
    def model(cls, name: str = "echo", metadata: dict[str, Any] | None = None, **spec: Any) -> StreamingModel:
        return StreamingModel.parse(cls.document(name, metadata, **spec))

    @staticmethod
    def gateway(name: str = "default", metadata: dict[str, Any] | None = None, **spec: Any) -> StreamingGateway:
        document = {"apiVersion": "tailrace.dev/v1alpha1", "kind": "StreamingGateway", "spec": spec}
        return StreamingGateway.parse({**document, "metadata": {"name": name, **(metadata or {})}})


@pytest.fixture
def make() -> type[Documents]:
    return Documents

"""The custom resources' types: the one place from which the CRDs, their defaults and every check are made.

Each field carries its description, unit, bounds and default; each cross-field rule is written once, as CEL for the API
server beside the same decision in Python, so that a file is judged alike by a cluster and by `make up`.
"""

from tailrace_operator.resources.gateway import DEFAULT_GATEWAY, StreamingGateway
from tailrace_operator.resources.model import StreamingModel

__all__ = ["DEFAULT_GATEWAY", "StreamingGateway", "StreamingModel"]

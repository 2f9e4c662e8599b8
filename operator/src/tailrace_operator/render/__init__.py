"""From a resource to what must exist for it: Kubernetes manifests, and the broker's objects as plain data.

Pure: no clock, no I/O, no client of anything. Both executors, the operator on a cluster and `make up` on one machine,
carry out the same result.
"""

from tailrace_operator.render.broker import beyond_limits
from tailrace_operator.render.gateway import render_gateway
from tailrace_operator.render.metadata import default_gateway
from tailrace_operator.render.rendered import Manifest, Rendered
from tailrace_operator.render.result import render
from tailrace_operator.render.settings import RenderSettings

__all__ = ["Manifest", "RenderSettings", "Rendered", "beyond_limits", "default_gateway", "render", "render_gateway"]

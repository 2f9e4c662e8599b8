"""All of one model's children together."""

from tailrace_operator.render.broker import broker_objects
from tailrace_operator.render.rendered import Rendered
from tailrace_operator.render.settings import RenderSettings
from tailrace_operator.render.worker import worker_manifests
from tailrace_operator.resources import StreamingModel


def render(model: StreamingModel, settings: RenderSettings) -> Rendered:
    """What must exist for `model`. Its gateway belongs to the namespace: see `render_gateway`."""
    return Rendered(manifests=worker_manifests(model, settings), broker=broker_objects(model, settings))

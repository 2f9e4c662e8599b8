"""All of one model's children together."""

from tailrace_operator.render.broker import broker_objects
from tailrace_operator.render.fetch import cache_volume, fetch_job
from tailrace_operator.render.rendered import Rendered
from tailrace_operator.render.settings import RenderSettings
from tailrace_operator.render.worker import worker_manifests
from tailrace_operator.resources import StreamingModel


def render(model: StreamingModel, settings: RenderSettings) -> Rendered:
    """What must exist for `model`. Its gateway is a resource of its own: see `render_gateway`."""
    manifests, broker = worker_manifests(model, settings), broker_objects(model, settings)
    if settings.local or model.spec.model is None or model.spec.model.cache is None:
        return Rendered(manifests, broker)
    files, job = fetch_job(model, settings)
    return Rendered(manifests, broker, prepare=(cache_volume(model), files), fetch=job)

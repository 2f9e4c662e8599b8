"""A namespace's default gateway: Deployment, Service and settings file, owned by all the namespace's models."""

import copy
from collections.abc import Sequence

from tailrace_protocol.settings import GatewaySettings, NatsSettings

from tailrace_operator.render import parts
from tailrace_operator.render.rendered import Manifest
from tailrace_operator.render.settings import RenderSettings
from tailrace_operator.resources import StreamingModel

NAME = "tailrace-gateway"
SETTINGS_FILE = "gateway.json"
USER = "gateway"
ADVISORY_USER = "advisory"


def gateway_settings(namespace: str, models: Sequence[StreamingModel], settings: RenderSettings) -> GatewaySettings:
    """What each gateway is told. It takes the largest body that any of its models does."""
    advisories = settings.nats_advisories
    return GatewaySettings(
        namespace=namespace,
        nats=NatsSettings(
            servers=list(settings.nats_servers),
            user=USER,
            password_file=f"{parts.SECRETS_DIRECTORY}/{USER}",
            account=settings.nats_account,
            system_user=ADVISORY_USER if advisories else "",
            system_password_file=f"{parts.SECRETS_DIRECTORY}/{ADVISORY_USER}" if advisories else "",
        ),
        host=settings.gateway_host,
        port=settings.gateway_port,
        max_body_bytes=max((int(model.spec.limits.max_body_bytes.value) for model in models), default=8 * 2**20),
        shutdown_s=settings.gateway_shutdown_s,
    )


def render_gateway(namespace: str, models: Sequence[StreamingModel], settings: RenderSettings) -> tuple[Manifest, ...]:
    """The default gateway of `namespace`, which serves `models`."""
    described = parts.metadata(NAME, namespace, parts.labels_of("gateway", "default"), tuple(models))
    config = parts.config_map(described, SETTINGS_FILE, gateway_settings(namespace, models, settings))
    deployment = parts.deployment(described, settings.gateway_replicas, _pod(settings), config)
    return config, deployment, _service(described, settings)


def _pod(settings: RenderSettings) -> Manifest:
    users = (USER, ADVISORY_USER) if settings.nats_advisories else (USER,)
    volumes = [parts.config_volume(NAME), parts.secrets_volume(settings.nats_secret, users)]
    container = {
        "name": "gateway",
        "image": settings.gateway_image,
        "command": ["python", "-m", "tailrace_gateway", "--settings", f"{parts.CONFIG_DIRECTORY}/{SETTINGS_FILE}"],
        "ports": [{"name": "http", "containerPort": settings.gateway_port}],
        "resources": {"requests": {"cpu": "250m", "memory": "256Mi"}, "limits": {"memory": "2Gi"}},
        "volumeMounts": [mount for _, mount in volumes],
    }
    return parts.pod(container, [volume for volume, _ in volumes], settings.gateway_shutdown_s)


def _service(described: Manifest, settings: RenderSettings) -> Manifest:
    selector = {key: described["labels"][key] for key in ("app.kubernetes.io/name", "app.kubernetes.io/instance")}
    ports = [{"name": "http", "port": 80, "targetPort": "http"}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": copy.deepcopy(described),
        "spec": {"selector": selector, "ports": ports},
    }

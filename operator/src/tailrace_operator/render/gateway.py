"""A gateway's children: settings file, Deployment, Service, disruption budget, and the namespace's network policies."""

import copy
from collections.abc import Sequence

import msgspec
from tailrace_protocol.settings import GatewaySettings, NatsSettings

from tailrace_operator.render import config, pods
from tailrace_operator.render.metadata import gateway_child, metadata, selector
from tailrace_operator.render.overrides import with_overrides
from tailrace_operator.render.policies import gateway_policy, workers_policy
from tailrace_operator.render.rendered import Manifest
from tailrace_operator.render.settings import RenderSettings
from tailrace_operator.resources import StreamingGateway, StreamingModel
from tailrace_operator.resources.quantity import canonical

SETTINGS_FILE = "gateway.json"
CONTAINER = "gateway"
USER = "gateway"
ADVISORY_USER = "advisory"
#: A rollout of gateways is stalled after this, in seconds: they start within a few.
_PROGRESS_S = 600.0


def gateway_settings(gateway: StreamingGateway, settings: RenderSettings) -> GatewaySettings:
    """What each replica of `gateway` is told."""
    spec = gateway.spec
    return GatewaySettings(
        namespace=gateway.metadata.namespace,
        nats=_nats(settings),
        gateway=gateway.metadata.name,
        host=settings.gateway_host,
        port=settings.gateway_port,
        max_body_bytes=int(spec.limits.max_body_bytes.value),
        max_unsent_bytes=int(spec.limits.max_unsent_bytes.value),
        heartbeat_s=spec.heartbeat.seconds,
        shutdown_s=settings.gateway_shutdown_s,
        drain_s=spec.drain.deadline.seconds,
    )


def render_gateway(
    gateway: StreamingGateway, models: Sequence[StreamingModel], settings: RenderSettings
) -> tuple[Manifest, ...]:
    """What must exist for `gateway`. It learns of its `models` from the broker: a new one restarts no gateway."""
    described = metadata(gateway_child(gateway.metadata.name), "gateway", gateway)
    files = config.config_map(described, {SETTINGS_FILE: config.as_file(gateway_settings(gateway, settings))})
    children = [files, _deployment(gateway, described, files, settings), _service(gateway, described)]
    children += [pods.disruption_budget(described)]
    children += [gateway_policy(described), workers_policy(gateway)] if settings.network_policies else []
    return tuple(children)


def _nats(settings: RenderSettings) -> NatsSettings:
    ours = msgspec.structs.replace(config.nats_settings(USER, settings), account=settings.nats_account)
    if not settings.nats_advisories:
        return ours
    password_file = f"{config.SECRETS_DIRECTORY}/{ADVISORY_USER}"
    return msgspec.structs.replace(ours, system_user=ADVISORY_USER, system_password_file=password_file)


def _deployment(gateway: StreamingGateway, described: Manifest, files: Manifest, settings: RenderSettings) -> Manifest:
    template = pods.template(described, _pod(gateway, described, settings), config.digest_of(files))
    template = with_overrides(template, gateway.spec.pod, CONTAINER)
    strategy = {"maxSurge": 1, "maxUnavailable": 0}
    return pods.deployment(described, gateway.spec.replicas, template, strategy, _PROGRESS_S)


def _pod(gateway: StreamingGateway, described: Manifest, settings: RenderSettings) -> Manifest:
    users = (USER, ADVISORY_USER) if settings.nats_advisories else (USER,)
    mounted = [config.config_volume(described["name"]), config.secrets_volume(settings, users), pods.temporary()]
    spec = pods.pod(
        _container(gateway, [mount for _, mount in mounted], settings),
        [volume for volume, _ in mounted],
        gateway.spec.drain.deadline.seconds + settings.gateway_shutdown_s,
        settings,
    )
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": selector(described)},
    }
    return spec | {"topologySpreadConstraints": [spread]}


def _container(gateway: StreamingGateway, mounts: list[Manifest], settings: RenderSettings) -> Manifest:
    command = ["python", "-m", "tailrace_gateway", "--settings", f"{config.CONFIG_DIRECTORY}/{SETTINGS_FILE}"]
    wanted = gateway.spec.resources
    return pods.container(CONTAINER, settings.gateway_image, command, mounts, settings) | {
        "env": [dict(pods.NAME)],
        "ports": [{"name": "http", "containerPort": settings.gateway_port}],
        "resources": {
            "requests": {"cpu": canonical(wanted.cpu), "memory": canonical(wanted.memory)},
            "limits": {"memory": canonical(wanted.memory_limit)},
        },
        "livenessProbe": pods.probe("/livez", "http", every_s=10, failures=6, timeout_s=5),
        "readinessProbe": pods.probe("/readyz", "http", every_s=2, failures=2),
    }


def _service(gateway: StreamingGateway, described: Manifest) -> Manifest:
    wanted = gateway.spec.service
    described = copy.deepcopy(described)
    if wanted.annotations:
        described["annotations"] = dict(wanted.annotations)
    spec: Manifest = {
        "type": wanted.type,
        "selector": selector(described),
        "ports": [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP", "appProtocol": "http"}],
    }
    given = {"loadBalancerClass": wanted.load_balancer_class, "externalTrafficPolicy": wanted.external_traffic_policy}
    spec |= {field: value for field, value in given.items() if value is not None}
    return {"apiVersion": "v1", "kind": "Service", "metadata": described, "spec": spec}

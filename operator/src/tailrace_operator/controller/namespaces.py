"""What the resources of a namespace share: its default gateway, and the Secret with the broker's passwords."""

import logging

from tailrace_operator.apply.kubernetes import KubernetesApi
from tailrace_operator.controller.credentials import Credentials, CredentialsError, owner_reference
from tailrace_operator.controller.secret_troubles import SecretTroubles
from tailrace_operator.controller.world import CHILD_SELECTOR, Key, World
from tailrace_operator.plan import Ref, drift
from tailrace_operator.render import Manifest, RenderSettings, default_gateway
from tailrace_operator.resources.model import API_VERSION

log = logging.getLogger("tailrace.operator")

_MANAGED = CHILD_SELECTOR.split("=")
DEFAULT = "default"
#: A Secret that somebody else made is mended without a word to us.
LOOK_AGAIN_S = 15.0


class NamespaceReconciler:
    """Looks at what a namespace's resources share."""

    def __init__(
        self,
        api: KubernetesApi,
        world: World,
        credentials: Credentials,
        troubles: SecretTroubles,
        rendering: RenderSettings,
    ) -> None:
        self._api = api
        self._world = world
        self._credentials = credentials
        self._troubles = troubles
        self._rendering = rendering

    async def reconcile(self, key: Key) -> float | None:
        """One look; returns after how many seconds to look again. Raises what should make it be repeated soon."""
        models = [model for _, model in self._world.resources("StreamingModel", key.namespace) if _stays(model)]
        await self._gateway(key, [model for model in models if _gateway_of(model) == DEFAULT])
        gateways = [
            gateway for _, gateway in self._world.resources("StreamingGateway", key.namespace) if _stays(gateway)
        ]
        trouble = await self._secret(key, gateways) if gateways else ""
        self._troubles.tell(key.namespace, trouble)
        return LOOK_AGAIN_S if trouble else None

    async def _gateway(self, key: Key, models: list[Manifest]) -> None:
        """A default gateway that a person made is theirs; ours follows the models that own it."""
        present = self._world.resource(Key("StreamingGateway", key.namespace, DEFAULT))
        if not models or (present is not None and not (_is_ours(present) and _stays(present))):
            return
        wanted = default_gateway(key.namespace, ())
        wanted["metadata"]["ownerReferences"] = [owner_reference(model) for model in models]
        if present is None:
            present = await self._api.get(Ref(API_VERSION, "StreamingGateway", key.namespace, DEFAULT))
            if present is not None and not _is_ours(present):
                self._world.put(present, answered=True)
                return
        if present is None or drift(wanted, present) or _owners(present) != _owners(wanted):
            uid = present["metadata"]["uid"] if present else None
            self._world.put(await self._api.apply(wanted, uid), answered=True)

    async def _secret(self, key: Key, gateways: list[Manifest]) -> str:
        """Why pods cannot mount the passwords, if they cannot. A Secret that a person made is theirs."""
        try:
            wanted = await self._credentials.for_namespace(key.namespace, self._rendering.nats_secret, gateways)
        except CredentialsError as error:
            self._troubles.tell(key.namespace, str(error))
            raise
        present = await self._api.get(Ref.of(wanted))
        if present is not None and not _is_ours(present):
            return _lacking(present, wanted)
        if present is None or drift(wanted, present):
            await self._api.apply(wanted, present["metadata"]["uid"] if present else None)
        return ""


def _lacking(present: Manifest, wanted: Manifest) -> str:
    """What a Secret that somebody else made does not hold of what the pods mount."""
    data = present.get("data") or {}
    missing = [role for role in wanted["data"] if not data.get(role)]
    if not missing:
        return ""
    name, namespace = wanted["metadata"]["name"], wanted["metadata"]["namespace"]
    log.warning("credentials.theirs secret=%s namespace=%s lacks=%s", name, namespace, ",".join(missing))
    remedy = "add the passwords, or delete it, and the operator makes its own"
    return f"Secret {name} in namespace {namespace} is not ours and lacks the keys {', '.join(missing)}: {remedy}"


def _stays(resource: Manifest) -> bool:
    return "deletionTimestamp" not in resource["metadata"]


def _gateway_of(model: Manifest) -> str:
    return str((model["spec"].get("gateway") or {}).get("name", DEFAULT))


def _is_ours(present: Manifest) -> bool:
    label, value = _MANAGED
    return bool((present["metadata"].get("labels") or {}).get(label) == value)


def _owners(resource: Manifest) -> set[str]:
    return {owner["uid"] for owner in resource["metadata"].get("ownerReferences") or ()}

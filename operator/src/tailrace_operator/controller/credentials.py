"""The broker's users and passwords: made once by the operator, or taken from a Secret that somebody else made.

They are made here and not in the chart, since what a chart draws at random changes whenever it is rendered anew.
The NATS pods include `auth.conf` from this Secret, and wait for it.
"""

import base64
import json
import logging
import secrets
import tempfile
from pathlib import Path
from typing import Any

from tailrace_protocol.settings import NatsSettings

from tailrace_operator.apply.kubernetes import ChangedError, KubernetesApi
from tailrace_operator.controller.settings import Nats
from tailrace_operator.plan import Ref
from tailrace_operator.render import Manifest
from tailrace_operator.render.accounts import nats_accounts

log = logging.getLogger("tailrace.operator")

#: `routes` is how the servers of a cluster know each other.
ROLES = ("operator", "gateway", "worker", "advisory", "routes")
#: What pods in the models' namespaces need; the operator's own password stays at home.
_SHARED = ("gateway", "worker", "advisory")
_PASSWORD_BYTES = 24


class CredentialsError(Exception):
    """The Secret is missing or lacks something; the message says what."""


class Credentials:
    """The Secret in the operator's namespace."""

    def __init__(self, api: KubernetesApi, namespace: str, nats: Nats) -> None:
        self._api = api
        self._nats = nats
        self._ref = Ref("v1", "Secret", namespace, nats.credentials_secret)
        self._folder = tempfile.TemporaryDirectory(prefix="tailrace-")
        self._file = Path(self._folder.name) / "password"

    def close(self) -> None:
        """Remove the file with the operator's own password."""
        self._folder.cleanup()

    async def ensure(self) -> None:
        """Make the Secret if it is ours to make and is not there."""
        if not self._nats.create_credentials or await self._api.get(self._ref) is not None:
            return
        passwords = {role: secrets.token_urlsafe(_PASSWORD_BYTES) for role in ROLES}
        try:
            await self._api.create(_auth_secret(self._ref, passwords, self._nats.account))
            log.info("credentials.made secret=%s namespace=%s", self._ref.name, self._ref.namespace)
        except ChangedError:
            log.info("credentials.found secret=%s", self._ref.name)

    async def for_operator(self) -> NatsSettings:
        """How the operator itself reaches the broker.

        Raises:
            CredentialsError: no Secret, or no password in it.
        """
        await self.ensure()
        password = (await self._passwords(("operator",)))["operator"]
        self._file.touch(mode=0o600)
        self._file.write_text(password)
        return NatsSettings(servers=list(self._nats.servers), user="operator", password_file=str(self._file))

    async def for_namespace(self, namespace: str, name: str, owners: list[Manifest]) -> Manifest:
        """The Secret that the pods of a namespace mount, owned by its gateways.

        Raises:
            CredentialsError: no Secret to take them from, or no password in it.
        """
        roles = _SHARED if self._nats.advisories else ("gateway", "worker")
        passwords = await self._passwords(roles)
        described = {
            "name": name,
            "namespace": namespace,
            "labels": {"app.kubernetes.io/managed-by": "tailrace", "app.kubernetes.io/name": "tailrace-nats"},
            "ownerReferences": [owner_reference(owner) for owner in owners],
        }
        data = {role: _encoded(password) for role, password in passwords.items()}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": described, "type": "Opaque", "data": data}

    async def _passwords(self, roles: tuple[str, ...]) -> dict[str, str]:
        found = await self._api.get(self._ref)
        where = f"Secret {self._ref.name} in namespace {self._ref.namespace}"
        if found is None:
            raise CredentialsError(f"there is no {where}: make it, with the keys {', '.join(ROLES)}")
        data = found.get("data") or {}
        missing = [role for role in roles if not data.get(role)]
        if missing:
            raise CredentialsError(f"{where} lacks the keys {', '.join(missing)}: add the users' passwords")
        return {role: base64.b64decode(data[role]).decode().strip() for role in roles}


def _auth_secret(ref: Ref, passwords: dict[str, str], account: str) -> Manifest:
    auth = json.dumps(nats_accounts(passwords, account), indent=2)
    # Included in the server's configuration, this is the inside of its outermost braces.
    inside = auth.strip().removeprefix("{").removesuffix("}")
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": ref.name,
            "namespace": ref.namespace,
            "labels": {"app.kubernetes.io/managed-by": "tailrace", "app.kubernetes.io/name": "tailrace-nats"},
        },
        "type": "Opaque",
        "data": {key: _encoded(value) for key, value in {**passwords, "auth.conf": inside.strip() + "\n"}.items()},
    }


def owner_reference(resource: Manifest) -> dict[str, Any]:
    """A reference to one of several owners."""
    described = resource["metadata"]
    return {
        "apiVersion": resource["apiVersion"],
        "kind": resource["kind"],
        "name": described["name"],
        "uid": described["uid"],
    }


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()

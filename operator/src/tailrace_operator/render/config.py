"""What pods read: their settings file from a ConfigMap, and the broker's passwords from a Secret."""

import copy
import hashlib

import msgspec
from tailrace_protocol.settings import NatsSettings

from tailrace_operator.render.pods import Mounted
from tailrace_operator.render.rendered import Manifest
from tailrace_operator.render.settings import RenderSettings
from tailrace_operator.resources.pod import VOLUME_PREFIX

CONFIG_DIRECTORY = "/etc/tailrace"
SECRETS_DIRECTORY = "/etc/tailrace-nats"
_READABLE_BY_GROUP = 0o440


def config_map(described: Manifest, files: dict[str, str]) -> Manifest:
    """A ConfigMap of some files."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": copy.deepcopy(described), "data": files}


def as_file(settings: msgspec.Struct) -> str:
    """`settings` as the text of a JSON file that people can read."""
    return msgspec.json.format(msgspec.json.encode(settings), indent=2).decode() + "\n"


def digest_of(config: Manifest) -> str:
    """Changes when the ConfigMap's content does."""
    return hashlib.sha256(repr(sorted(config["data"].items())).encode()).hexdigest()[:16]


def config_volume(name: str) -> Mounted:
    """The ConfigMap called `name` as a volume, and where it is mounted."""
    volume = f"{VOLUME_PREFIX}config"
    mount = {"name": volume, "mountPath": CONFIG_DIRECTORY, "readOnly": True}
    return {"name": volume, "configMap": {"name": name}}, mount


def secrets_volume(settings: RenderSettings, users: tuple[str, ...]) -> Mounted:
    """The broker passwords of `users` as files of that name, and where they are mounted."""
    items = [{"key": user, "path": user} for user in users]
    secret = {"secretName": settings.nats_secret, "items": items, "defaultMode": _READABLE_BY_GROUP}
    volume = f"{VOLUME_PREFIX}nats"
    return {"name": volume, "secret": secret}, {"name": volume, "mountPath": SECRETS_DIRECTORY, "readOnly": True}


def nats_settings(user: str, settings: RenderSettings) -> NatsSettings:
    """How a pod logs in as `user`."""
    return NatsSettings(servers=list(settings.nats_servers), user=user, password_file=f"{SECRETS_DIRECTORY}/{user}")

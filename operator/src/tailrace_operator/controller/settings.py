"""What an installation decides, from the YAML file that the chart renders; refused at start with the field's name."""

import os
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError

from tailrace_operator.render import RenderSettings
from tailrace_operator.resources.block import Block
from tailrace_operator.resources.complaints import complaints, spelled
from tailrace_operator.resources.quantity import Quantity, QuantityRange


class SettingsError(Exception):
    """The settings cannot be used; the message names each field and the remedy."""


class Images(Block):
    """Images of the pods that the operator makes."""

    worker: str = Field(default=RenderSettings.worker_image, min_length=1, description="GPU workers.")
    worker_cpu: str = Field(default=RenderSettings.worker_cpu_image, min_length=1, description="CPU workers.")
    worker_simulated: str = Field(
        default=RenderSettings.worker_simulated_image, min_length=1, description="Workers without a model."
    )
    gateway: str = Field(default=RenderSettings.gateway_image, min_length=1, description="Gateways.")
    fetcher: str = Field(default=RenderSettings.fetcher_image, min_length=1, description="What downloads models.")


class Nats(Block):
    """Where the broker is, and with which credentials it is used."""

    servers: list[Annotated[str, Field(min_length=1)]] = Field(
        default=list(RenderSettings.nats_servers), min_length=1, description="URLs (nats://host:port)."
    )
    account: str = Field(default="TAILRACE", min_length=1, description="The account that streams live in.")
    advisories: bool = Field(default=True, description="Whether a user of the system account sees disconnects.")
    replicas: Literal[1, 3, 5] = Field(default=1, description="JetStream replicas of every stream.")
    credentials_secret: str = Field(
        default="tailrace-nats-auth", min_length=1, description="Secret in the operator's namespace."
    )
    create_credentials: bool = Field(default=True, description="Whether the operator makes that Secret.")


class Broker(Block):
    """What each model may take of the broker."""

    queue_max_bytes: Annotated[Quantity, QuantityRange("1Mi", "1Ti")] = Field(
        default=Quantity("64Mi"), description="Waiting and running requests of one model."
    )
    log_max_bytes: Annotated[Quantity, QuantityRange("1Mi", "1Ti")] = Field(
        default=Quantity("1Gi"), description="Largest log that a model may ask for (spec.replay.maxBytes)."
    )
    payloads_max_bytes: Annotated[Quantity, QuantityRange("1Mi", "1Ti")] = Field(
        default=Quantity("2Gi"), description="Large requests and answers of all models together."
    )


class Log(Block):
    """How the operator writes its log."""

    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Least level written.")
    format: Literal["json", "text"] = Field(default="json", description="One JSON object a line, or text.")


class OperatorSettings(Block):
    """The operator's settings."""

    watch_namespaces: list[Annotated[str, Field(min_length=1)]] = Field(
        default=[], description="Namespaces that are served; empty: all."
    )
    images: Images = Images()
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    image_pull_secrets: list[str] = Field(default=[], description="Secrets for pulling the pods' images.")
    nats: Nats = Nats()
    broker: Broker = Broker()
    network_policies: bool = True
    model_root: str = "/models"
    log: Log = Log()
    health_port: Annotated[int, Field(ge=0, le=65535)] = 8081
    metrics_port: Annotated[int, Field(ge=0, le=65535)] = 9090
    workers: Annotated[int, Field(ge=1, le=64, description="Reconciles at once.")] = 8
    resync_s: Annotated[float, Field(ge=1, description="Seconds after which each object is looked at again.")] = 1800.0
    broker_patience_s: Annotated[
        float, Field(ge=0, description="Seconds that a deletion waits for a broker that is away.")
    ] = 60.0

    def for_rendering(self) -> RenderSettings:
        """The part that `render` needs."""
        return RenderSettings(
            worker_image=self.images.worker,
            worker_cpu_image=self.images.worker_cpu,
            worker_simulated_image=self.images.worker_simulated,
            gateway_image=self.images.gateway,
            fetcher_image=self.images.fetcher,
            image_pull_policy=self.image_pull_policy,
            image_pull_secrets=tuple(self.image_pull_secrets),
            network_policies=self.network_policies,
            nats_servers=tuple(self.nats.servers),
            nats_advisories=self.nats.advisories,
            nats_account=self.nats.account,
            model_root=self.model_root,
            broker_replicas=self.nats.replicas,
            queue_max_bytes=int(self.broker.queue_max_bytes.value),
            log_max_bytes=int(self.broker.log_max_bytes.value),
            payloads_max_bytes=int(self.broker.payloads_max_bytes.value),
        )


def load_settings(file: Path) -> OperatorSettings:
    """The settings in `file`.

    Raises:
        SettingsError: naming each field that is wrong.
    """
    try:
        document: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
        return OperatorSettings.model_validate({} if document is None else document, by_alias=True, by_name=False)
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror}; give a file with --settings") from error
    except ValidationError as error:
        wrong = [f"{spelled(path) or 'it'} {sentence}" for path, sentence in complaints(error, OperatorSettings)]
        raise SettingsError(f"{file}: " + "; ".join(wrong)) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} is not YAML: {error}; correct it, or give another file with --settings") from error


def own_namespace() -> str:
    """The namespace that the operator runs in."""
    return os.environ.get("POD_NAMESPACE") or "tailrace-system"

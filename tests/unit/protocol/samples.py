"""What the golden files say: every message kind, once with all it can say and once with nothing it need not say.

`MEANING[version][name]` is the message that `golden/<version>/<name>.json` must decode to. Golden files are only ever
added. A new kind or a new optional field: add a sample to the newest version. Bytes that today's encoder no longer
writes: add a version here (`"v2": {**V1, ...}`, with the older versions' meaning in today's types). Then
`uv run python -m tests.unit.protocol.golden <version>` from the top of the repository writes the missing files.

The minimal samples spell the defaults out: a default that changes would change what bytes of older versions mean.
"""

import pkgutil
import typing
from collections.abc import Callable
from importlib import import_module

import msgspec
import tailrace_protocol
from msgspec import Raw, Struct
from tailrace_protocol import control, errors, events, fetch, reports, requests, settings, wire

_CHUNK = Raw(b'{"id":"chatcmpl-7","choices":[{"index":0,"delta":{"content":"\xe6\xb0\xb4 \xf0\x9f\x8c\x8a"}}]}')
_ROLE = Raw(b'{"id":"chatcmpl-7","choices":[{"index":0,"delta":{"role":"assistant"}}]}')
_STREAM = "prod.smollm2.g7k2.abcdefghijklmnopqrstuvwxyzaaab2f4"
_ACK = "$JS.ACK.tr_req_prod_smollm2.workers.2.17.9.1760000000000000000.0"

V1: dict[str, Struct] = {
    "accepted": events.Accepted(frames=[_ROLE, _ROLE], created=1760000000, kind="chat", streaming=False),
    "accepted-minimal": events.Accepted(frames=[], created=0, kind="completion", streaming=True, v=1),
    "started": events.Started(attempt=2, base=17, worker="smollm2-0", ack=_ACK),
    "started-minimal": events.Started(attempt=1, base=2, worker="w", ack="", v=1),
    "delta": events.Delta(
        attempt=2,
        seq=17,
        groups=[
            events.TokenGroup(choice=0, tokens=[198, 49151], replay=Raw(b'[{"logprob":-0.25}]')),
            events.TokenGroup(choice=1, tokens=[2], finish="stop", stop=2),
            events.TokenGroup(choice=2, tokens=[], finish="stop", stop="\n\n"),
        ],
        frames=[_CHUNK, _CHUNK],
    ),
    "delta-minimal": events.Delta(
        attempt=1,
        seq=2,
        groups=[events.TokenGroup(choice=0, tokens=[1], finish=None, stop=None, replay=Raw())],
        frames=[],
        v=1,
    ),
    "checkpoint": events.Checkpoint(attempt=2, seq=18, v=1),
    "ended": events.Ended(
        attempt=2,
        seq=19,
        count=20,
        outcome="finished",
        groups=[events.TokenGroup(choice=0, tokens=[2], finish="stop")],
        frames=[_CHUNK, _CHUNK],
        usage=events.Usage(prompt_tokens=31, completion_tokens=40),
    ),
    "ended-result": events.Ended(attempt=1, seq=2, count=2, outcome="finished", result=f"{_STREAM}.result"),
    "ended-failed": events.Ended(
        attempt=3,
        seq=19,
        count=19,
        outcome="failed",
        error=errors.ErrorBody(
            code="worker_lost",
            message="Every worker that took this request was lost.",
            type="server_error",
            param=None,
            retryable=True,
            status=503,
            position=18,
        ),
    ),
    "ended-minimal": events.Ended(
        attempt=1,
        seq=2,
        count=2,
        outcome="cancelled",
        groups=[],
        frames=[],
        usage=None,
        error=None,
        result="",
        v=1,
    ),
    "usage-minimal": events.Ended(
        attempt=1, seq=2, count=2, outcome="finished", usage=events.Usage(prompt_tokens=0, completion_tokens=0)
    ),
    "request": requests.Request(
        stream=_STREAM,
        kind="chat",
        response_id="chatcmpl-7",
        created=1760000000,
        streaming=True,
        body=Raw(b'{"model": "smollm2", "messages": [{"role": "user", "content": "\xc3\xa9"}], "n": 2}'),
        first_position=3,
    ),
    "request-object": requests.Request(
        stream=_STREAM,
        kind="completion",
        response_id="cmpl-7",
        created=1760000000,
        streaming=False,
        body=Raw(),
        body_object=f"{_STREAM}.body",
        first_position=2,
        v=1,
    ),
    "cancel": control.Cancel(reason="DELETE /v1/streams"),
    "cancel-failing": control.Cancel(reason="no worker in time", code="queue_timeout"),
    "cancel-minimal": control.Cancel(reason="", code="cancelled", v=1),
    "superseded": control.Superseded(attempt=3, v=1),
    "attached": control.Attached(gateway="g7k2", lease_s=5.0, v=1),
    "detached": control.Detached(gateway="g7k2", v=1),
    "retire": control.Retire(lease_s=2.0, v=1),
    "worker-report": reports.WorkerReport(
        worker="smollm2-0",
        namespace="prod",
        model="smollm2",
        state="loading",
        capacity=64,
        active=7,
        progress="loading weights, 2 of 5 GiB",
        lease_s=1.5,
    ),
    "worker-report-minimal": reports.WorkerReport(
        worker="w", namespace="n", model="m", state="ready", capacity=0, active=0, progress="", lease_s=2.0, v=1
    ),
    "worker-report-load": reports.WorkerReport(
        worker="w",
        namespace="n",
        model="m",
        state="draining",
        active=3,
        pod="m-tailrace-5d9c-x2x7p",
        oldest_s=61.5,
        tokens_per_s=812.4,
        inter_token_s=0.0197,
        kv_use=0.43,
        waiting=2,
    ),
    "gateway-report": reports.GatewayReport(
        gateway="g7k2", connections=12, streams={"prod.smollm2": 9, "prod.other": 0}, lease_s=1.5
    ),
    "gateway-report-minimal": reports.GatewayReport(gateway="g", connections=0, streams={}, lease_s=2.0, v=1),
    "gateway-report-kinds": reports.GatewayReport(
        gateway="g", queued={"prod.smollm2": 4}, log_only=3, idle=5, pod="default-gateway-6c-4kq"
    ),
    "gateway-report-place": reports.GatewayReport(gateway="g", cpu=0.31, namespace="prod", name="public"),
    "model-report": reports.ModelReport(
        namespace="prod",
        model="smollm2",
        state="NoGPUFree",
        detail="no node has 1 free GPU",
        hopeless=True,
        lease_s=4.0,
    ),
    "model-report-minimal": reports.ModelReport(
        namespace="n", model="m", state="s", detail="", hopeless=False, lease_s=5.0, v=1
    ),
    "model-settings": settings.ModelSettings(
        namespace="prod",
        name="smollm2",
        created=1760000000,
        replay_window_s=60.0,
        on_disconnect="continue",
        disconnect_grace_s=0.5,
        queue_timeout_s=10.0,
        total_timeout_s=600.0,
        max_body_bytes=1048576,
        max_model_len=8192,
    ),
    "model-settings-of-a-gateway": settings.ModelSettings(namespace="prod", name="smollm2", gateway="public"),
    "model-settings-with-adapters": settings.ModelSettings(namespace="prod", name="smollm2", adapters=["sql", "legal"]),
    "model-settings-minimal": settings.ModelSettings(
        namespace="n",
        name="m",
        created=0,
        replay_window_s=600.0,
        on_disconnect="cancel",
        disconnect_grace_s=2.0,
        queue_timeout_s=120.0,
        total_timeout_s=3600.0,
        max_body_bytes=8388608,
        max_model_len=0,
        gateway="default",
        v=1,
    ),
    "worker-settings": settings.WorkerSettings(
        namespace="prod",
        model="smollm2",
        nats=settings.NatsSettings(
            servers=["nats://a:4222", "nats://b:4222"],
            user="worker",
            password_file="/run/secrets/nats",
            system_user="watcher",
            system_password_file="/run/secrets/system",
            account="OTHER",
        ),
        capacity=64,
        vllm=settings.VllmSettings(args=["--model", "/models/smollm2"]),
        chunking=settings.ChunkingSettings(tokens=4, max_delay_s=0.02),
        timeouts=settings.TimeoutSettings(queue_s=1.0, first_token_s=2.0, between_tokens_s=3.0, total_s=4.0),
        ack_wait_s=2.0,
        max_attempts=3,
        drain_s=60.0,
    ),
    "worker-settings-simulated": settings.WorkerSettings(
        namespace="prod",
        model="smollm2",
        nats=settings.NatsSettings(servers=["nats://a:4222"]),
        capacity=64,
        simulated=settings.SimulatedSettings(tokens_per_s=20.0, first_token_s=0.5),
    ),
    "worker-settings-in-a-pod": settings.WorkerSettings(
        namespace="prod",
        model="smollm2",
        nats=settings.NatsSettings(servers=["nats://a:4222"]),
        capacity=64,
        vllm=settings.VllmSettings(args=["--model", "/models/smollm2"]),
        http_host="::",
        http_port=9090,
        broker_wait_s=5.0,
    ),
    "worker-settings-minimal": settings.WorkerSettings(
        namespace="n",
        model="m",
        nats=settings.NatsSettings(
            servers=[], user="", password_file="", system_user="", system_password_file="", account="TAILRACE"
        ),
        capacity=1,
        vllm=settings.VllmSettings(args=[]),
        simulated=settings.SimulatedSettings(tokens_per_s=50.0, first_token_s=0.0),
        chunking=settings.ChunkingSettings(tokens=1, max_delay_s=0.05),
        timeouts=settings.TimeoutSettings(queue_s=120.0, first_token_s=120.0, between_tokens_s=30.0, total_s=3600.0),
        ack_wait_s=1.0,
        max_attempts=5,
        drain_s=30.0,
        http_port=0,
        v=1,
    ),
    "gateway-settings": settings.GatewaySettings(
        namespace="prod",
        nats=settings.NatsSettings(servers=["nats://a:4222"]),
        host="127.0.0.1",
        port=9090,
        max_body_bytes=1024,
        max_unsent_bytes=2048,
        heartbeat_s=1.0,
        shutdown_s=2.0,
    ),
    "gateway-settings-in-a-pod": settings.GatewaySettings(
        namespace="prod",
        nats=settings.NatsSettings(servers=["nats://a:4222"]),
        gateway="public",
        drain_s=300.0,
        drain_quiet_s=3.0,
    ),
    "gateway-settings-minimal": settings.GatewaySettings(
        namespace="n",
        nats=settings.NatsSettings(servers=[]),
        gateway="default",
        host="0.0.0.0",
        port=8080,
        max_body_bytes=8388608,
        max_unsent_bytes=262144,
        heartbeat_s=10.0,
        shutdown_s=10.0,
        v=1,
    ),
    "fetch-settings-hf": fetch.FetchSettings(
        namespace="prod",
        model="smollm2",
        target="/models/5f2a",
        source=fetch.HubSource(repo="org/model", revision="v1", token_env="TOKEN", endpoint="https://mirror.example"),
        nats=settings.NatsSettings(servers=["nats://a:4222"]),
        parallel=8,
        give_up_s=60.0,
        lock_lease_s=5.0,
        termination_file="/tmp/termination-log",
    ),
    "fetch-settings-s3": fetch.FetchSettings(
        namespace="prod",
        model="smollm2",
        target="/models/5f2a",
        source=fetch.S3Source(bucket="models", prefix="smollm2/", endpoint="https://s3.example", region="eu-central-1"),
    ),
    "fetch-settings-http": fetch.FetchSettings(
        namespace="prod",
        model="smollm2",
        target="/models/5f2a",
        source=fetch.HttpSource(
            files=[fetch.HttpFile(url="https://files.example/config.json", sha256="0" * 64, name="config.json")]
        ),
    ),
    "fetch-settings-minimal": fetch.FetchSettings(
        namespace="n",
        model="m",
        target="/t",
        source=fetch.HubSource(repo="r", revision="main", token_env="HF_TOKEN", endpoint=""),
        nats=None,
        parallel=4,
        give_up_s=300.0,
        lock_lease_s=20.0,
        termination_file="/dev/termination-log",
        v=1,
    ),
    "fetch-report": fetch.FetchReport(
        namespace="prod",
        model="smollm2",
        state="failed",
        target="/models/5f2a",
        files_done=3,
        files_total=9,
        bytes_done=1024,
        bytes_total=4096,
        file="model-00001-of-00002.safetensors",
        code="token_refused",
        message="org/model is gated: accept its conditions",
        lease_s=1.5,
    ),
    "fetch-report-minimal": fetch.FetchReport(
        namespace="n",
        model="m",
        state="resolving",
        target="",
        files_done=0,
        files_total=0,
        bytes_done=0,
        bytes_total=0,
        file="",
        code="",
        message="",
        lease_s=2.0,
        v=1,
    ),
    "error": errors.ErrorBody(
        code="context_length_exceeded",
        message="The prompt does not fit the model's context.",
        type="invalid_request_error",
        param="messages",
        retryable=True,
        status=400,
        position=1,
    ),
    "error-minimal": errors.ErrorBody(
        code="internal", message="", type="server_error", param=None, retryable=False, status=500, position=None
    ),
}

MEANING: dict[str, dict[str, Struct]] = {"v1": V1}
NEWEST = list(MEANING)[-1]


def structs() -> list[type[Struct]]:
    """Every public struct of the package."""
    modules = [import_module(m.name) for m in pkgutil.walk_packages(tailrace_protocol.__path__, "tailrace_protocol.")]
    return [
        value
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, type)
        and issubclass(value, Struct)
        and value.__module__ == module.__name__
        and not name.startswith("_")
    ]


def messages() -> list[type[Struct]]:
    """Every struct that travels on its own: those that are part of no other, and the error body."""
    parts = {part for struct in structs() for hint in typing.get_type_hints(struct).values() for part in _parts(hint)}
    return [struct for struct in structs() if struct not in parts or struct is errors.ErrorBody]


def decoder(message: type[Struct]) -> Callable[[bytes], Struct | None]:
    """The function by which the package reads such a message."""
    if message.__module__ == events.__name__:
        return events.decode_event
    if message.__module__ == control.__name__:
        return control.decode_control
    readers: dict[type[Struct], Callable[[bytes], Struct]] = {
        requests.Request: requests.decode_request,
        reports.WorkerReport: reports.decode_worker_report,
        reports.GatewayReport: reports.decode_gateway_report,
        reports.ModelReport: reports.decode_model_report,
        fetch.FetchReport: fetch.decode_fetch_report,
    }
    plain = msgspec.json.Decoder(message)
    return readers.get(message, lambda data: wire.decode(plain, data))


def has_kind(message: type[Struct]) -> bool:
    """Whether such messages are members of a union, told apart by their tag."""
    return message.__struct_config__.tag is not None


def _parts(hint: object) -> list[object]:
    inner = typing.get_args(hint)
    return [part for arg in inner for part in _parts(arg)] if inner else [hint]

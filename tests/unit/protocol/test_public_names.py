"""What the other parts of Tailrace may lean on: a name that appears or goes is a decision, made here too."""

import ast
from importlib import import_module
from pathlib import Path

import pytest
import tailrace_protocol

NAMES = {
    "control": "Attached Cancel Control Detached Retire Superseded decode_control",
    "errors": "ErrorBody ErrorCode ErrorPolicy TABLE TailraceError policy_of",
    "events": (
        "Accepted Checkpoint Delta Ended Event Outcome Positioned Started TokenGroup Usage decode_event"
        " first_position last_position"
    ),
    "fetch": (
        "FetchReport FetchSettings FetchSource FetchState HttpFile HttpSource HubSource S3Source decode_fetch_report"
    ),
    "log": "EARLY_LIMIT LogCursor",
    "opening": "CHUNK_OBJECT opening",
    "reports": (
        "GatewayReport ModelReport WorkerReport WorkerState decode_gateway_report decode_model_report"
        " decode_worker_report"
    ),
    "requests": "Kind Request decode_request",
    "settings": (
        "ChunkingSettings GatewaySettings ModelSettings NatsSettings OnDisconnect SimulatedSettings"
        " TimeoutSettings VllmSettings WorkerSettings"
    ),
    "subjects": (
        "ALL_FETCH_REPORTS ALL_GATEWAY_REPORTS ALL_MODEL_REPORTS ALL_WAKES ALL_WORKER_REPORTS ANY_LANE EVERY"
        " MODELS_BUCKET ModelKey"
        " PAYLOADS_BUCKET StreamId WORKERS_CONSUMER WORKER_CLIENT_PREFIX control controls_of_model"
        " controls_of_origin fetch_report gateway_report idempotency idempotency_of_model log log_stream"
        " logs_of_model logs_of_origin model_of model_report queue_stream random_token requests wake"
        " worker_client_name worker_control worker_report"
    ),
    "termination": "MAX_BYTES TerminationCode last_words read_last_words",
    "wire": "MalformedMessageError NOTHING T decode decode_kind encode normalise_raw tags",
}
SOURCES = {path.stem: path for path in Path(tailrace_protocol.__path__[0]).glob("*.py") if path.stem != "__init__"}


def test_the_package_has_these_rooms():
    assert set(SOURCES) == set(NAMES)


@pytest.mark.parametrize("module", NAMES)
def test_a_room_offers_these_names(module):
    assert sorted(_defined(SOURCES[module])) == sorted(NAMES[module].split())


def test_a_cursor_offers_these_names():
    cursor = import_module("tailrace_protocol.log").LogCursor()
    assert sorted(name for name in dir(cursor) if not name.startswith("_")) == sorted(
        ["agrees_with", "attempt", "disputed", "ended", "feed", "feed_all", "gap", "position", "takeovers", "writer"]
    )


def _defined(path):
    """Public names that the module itself defines."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return {name for name in names if not name.startswith("_")}

"""The operator's numbers over HTTP: for Prometheus, and per model as JSON for scalers that read that (KEDA's does).

`GET /metrics` and `GET /scaling/<namespace>/<model>`. What is not known is a 503, not a zero: a scaler that fails to
read keeps the size that there is.
"""

import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import msgspec
from prometheus_client import CollectorRegistry, make_wsgi_app

#: What is told of a model; `None` of one that is not there. An empty answer: nothing is known now.
Tell = Callable[[str, str], dict[str, Any] | None]
_JSON = ("Content-Type", "application/json")


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Nothing: a scrape is no event."""


def start(port: int, registry: CollectorRegistry, tell: Tell) -> Callable[[], None]:
    """Serve in a thread of its own until the function that is returned is called."""
    server = make_server("", port, application(registry, tell), server_class=_Server, handler_class=_Quiet)
    threading.Thread(target=server.serve_forever, daemon=True, name="metrics").start()

    def stop() -> None:
        server.shutdown()
        server.server_close()

    return stop


def application(registry: CollectorRegistry, tell: Tell) -> Any:
    """The WSGI application."""
    metrics = make_wsgi_app(registry)

    def serve(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = [part for part in environ.get("PATH_INFO", "").split("/") if part]
        if path[:1] != ["scaling"]:
            return list(metrics(environ, start_response))
        status, body = _scaling(path[1:], tell)
        start_response(status, [_JSON])  # The server writes into the list.
        return [msgspec.json.encode(body)]

    return serve


def _scaling(path: list[str], tell: Tell) -> tuple[str, dict[str, Any]]:
    if len(path) != 2:
        return "404 Not Found", {"error": "ask for /scaling/<namespace>/<model>"}
    told = tell(path[0], path[1])
    if told is None:
        return "404 Not Found", {"error": f"there is no StreamingModel {path[0]}/{path[1]}: check the address"}
    if not told:
        return "503 Service Unavailable", {"error": "not known now: the operator does not reach NATS"}
    return "200 OK", told

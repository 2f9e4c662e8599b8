"""What each answer of the API server means, with the bodies that Kubernetes 1.34 sends."""

import json
from typing import Any

import pytest
from tailrace_operator.apply.kubernetes import (
    BusyError,
    ChangedError,
    KubernetesError,
    NamespaceGoingError,
    NotFoundError,
    RefusedError,
    UnreachableError,
    _meaning,
)
from tailrace_operator.plan import Ref

DEPLOYMENT = Ref("apps/v1", "Deployment", "default", "echo-worker")


def status(code: int, message: str, reason: str = "", **details: Any) -> bytes:
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": reason}
    return json.dumps(body | {"details": details, "code": code}).encode()


GOING = status(
    403,
    'deployments.apps "echo-worker" is forbidden: unable to create new content in namespace default because it is '
    "being terminated",
    "Forbidden",
    causes=[{"reason": "NamespaceTerminating", "message": "namespace default is being terminated", "field": "x"}],
)
OWNER_IS_NEW = status(
    403,
    'deployments.apps "echo-worker" is forbidden: cannot set blockOwnerDeletion in this case because cannot find '
    "RESTMapping for APIVersion tailrace.dev/v1alpha1 Kind StreamingModel: no matches for kind",
    "Forbidden",
)
NO_RIGHT = status(
    403,
    'deployments.apps "echo-worker" is forbidden: User "system:serviceaccount:tailrace:operator" cannot patch resource',
    "Forbidden",
    name="echo-worker",
)
IMMUTABLE = status(
    422,
    'Deployment.apps "echo-worker" is invalid: spec.selector: Invalid value: {...}: field is immutable',
    "Invalid",
    causes=[{"reason": "FieldValueInvalid", "message": "field is immutable", "field": "spec.selector"}],
)
#: The server keeps to itself which operation of the JSON patch failed.
TEST_FAILED = status(422, "the server rejected our request due to an error in our request", "Invalid")
OTHER_UID = status(409, 'Operation cannot be fulfilled on deployments.apps "echo-worker": uid mismatch', "Conflict")


@pytest.mark.parametrize(
    ("code", "body", "means"),
    [
        (404, status(404, 'deployments.apps "echo-worker" not found', "NotFound"), NotFoundError),
        (409, OTHER_UID, ChangedError),
        (409, status(409, 'secrets "tailrace-nats-auth" already exists', "AlreadyExists"), ChangedError),
        (422, TEST_FAILED, ChangedError),
        (422, IMMUTABLE, RefusedError),
        (403, GOING, NamespaceGoingError),
        (403, NO_RIGHT, RefusedError),
        (403, OWNER_IS_NEW, BusyError),
        (401, status(401, "Unauthorized", "Unauthorized"), RefusedError),
        (400, status(400, "unknown field", "BadRequest"), RefusedError),
        (429, status(429, "the server has received too many requests", "TooManyRequests"), BusyError),
        (500, status(500, "Internal error occurred: failed calling webhook", "InternalError"), BusyError),
        (503, b"upstream connect error", UnreachableError),
        (504, status(504, "timed out", "Timeout"), UnreachableError),
        (0, None, UnreachableError),
    ],
)
def test_each_answer_means_what_to_do_next(code: int, body: bytes | None, means: type[KubernetesError]) -> None:
    assert type(_meaning(DEPLOYMENT, code, body)) is means


@pytest.mark.parametrize(
    ("code", "body", "says"),
    [
        (422, IMMUTABLE, "spec.selector: Invalid value: {...}: field is immutable"),
        (422, IMMUTABLE.decode(), "field is immutable"),
        (503, b"<html>bad gateway</html>", "the API server answered 503"),
        (502, None, "the API server answered 502"),
        (500, b'"text"', "the API server answered 500"),
    ],
)
def test_the_message_names_the_object_and_has_the_servers_words(code: int, body: Any, says: str) -> None:
    message = str(_meaning(DEPLOYMENT, code, body))
    assert message.startswith("Deployment echo-worker: ")
    assert says in message


@pytest.mark.parametrize(
    ("kind", "retryable"),
    [
        (UnreachableError, True),
        (BusyError, True),
        (NotFoundError, True),
        (ChangedError, True),
        (NamespaceGoingError, False),
        (RefusedError, False),
    ],
)
def test_only_what_may_pass_is_worth_another_try(kind: type[KubernetesError], retryable: bool) -> None:
    assert kind("x").retryable is retryable

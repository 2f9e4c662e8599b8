"""One look at a model: all parts together, with an API server and a broker in memory."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tailrace_operator.apply.kubernetes import RefusedError
from tailrace_operator.conditions import BrokerView
from tailrace_operator.controller.departures import Departures
from tailrace_operator.controller.executor import Executor, LeftoverError
from tailrace_operator.controller.finalizer import FINALIZER, BrokerAwayError, Finalizer
from tailrace_operator.controller.journal import Journal
from tailrace_operator.controller.loads import Loads
from tailrace_operator.controller.metrics import Metrics
from tailrace_operator.controller.models import LOOK_AGAIN_S, PAUSED, ModelReconciler, Tools
from tailrace_operator.controller.pods import Pods
from tailrace_operator.controller.progress import Progress
from tailrace_operator.controller.reporting import Reporter
from tailrace_operator.controller.scaler import Scaler
from tailrace_operator.controller.secret_troubles import SecretTroubles
from tailrace_operator.controller.world import Key, World
from tailrace_operator.plan import Ref
from tailrace_operator.render import RenderSettings

from .fake_api import FakeApi
from .objects import MANAGED, child, event, gateway, owned_by, resource, unmounted

ECHO = Key("StreamingModel", "default", "echo")
DEPLOYMENT = Ref("apps/v1", "Deployment", "default", "echo-worker")
NOW = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
LABELS_OF_FETCH = {**MANAGED, "tailrace.dev/model": "echo", "app.kubernetes.io/name": "tailrace-fetch"}
CACHED = {
    "engine": {"vllm": {}},
    "model": {"source": {"hf": {"repo": "org/m"}}, "cache": {"size": "10Gi"}},
}


class FakeBroker:
    def __init__(self) -> None:
        self.view = BrokerView()
        self.applied: list[str] = []
        self.removed: list[str] = []
        self.client = None

    async def apply(self, model: Any, objects: Any) -> BrokerView:
        self.applied.append(str(model))
        return self.view

    async def remove(self, model: Any) -> BrokerView:
        self.removed.append(str(model))
        return self.view

    def holds(self, model: Any) -> bool:
        return str(model) in set(self.applied) - set(self.removed)


class Bench:
    """A reconciler and all that it works with; the watch tells of everything at once."""

    def __init__(self, *present: dict[str, Any]) -> None:
        self.api, self.world, self.broker = FakeApi(*present), World(), FakeBroker()
        broker: Any = self.broker
        journal = Journal(self.api, "operator-0", lambda: NOW)
        self.progress = Progress(broker, lambda key: None)
        self.secrets = SecretTroubles(lambda namespace: None)
        self.now = NOW
        self.tools = Tools(
            self.api,
            self.world,
            broker,
            Executor(self.api, self.world),
            Reporter(self.api, self.world, journal, Metrics(), lambda: NOW),
            Finalizer(self.api, broker, journal, 60, lambda: NOW),
            Loads(broker, self.world, lambda key: None),
            self.progress,
            Pods(self.api, lambda: self.now),
            self.secrets,
            Departures(self.api),
            RenderSettings(),
            Scaler(self.api, broker, self.world, journal, Metrics().scaling, lambda key: None),
        )
        self.reconciler = ModelReconciler(self.tools)

    async def look(self) -> float | None:
        for ref, known in list(self.api.objects.items()):
            if ref.kind != "Event":
                self.world.put(known)
        for ref in self.world.refs() - set(self.api.objects):
            self.world.drop(ref)
        self.api.asked.clear()
        return await self.reconciler.reconcile(ECHO)

    @property
    def status(self) -> dict[str, Any]:
        return self.api.objects[Ref.of(resource())]["status"]

    def said(self, kind: str = "Ready") -> str:
        condition = next(c for c in self.status["conditions"] if c["type"] == kind)
        return f"{condition['status']} {condition['reason']}"

    def kinds(self) -> list[str]:
        return sorted(ref.kind for ref in self.api.objects if ref.kind not in ("Event", "StreamingModel"))

    def edit(self, ref: Ref, **changes: Any) -> None:
        self.api._store(ref, {**self.api.objects[ref], **changes})


async def test_the_first_look_makes_everything_and_says_how_it_stands() -> None:
    bench = Bench(resource())
    assert await bench.look() is None
    assert bench.kinds() == ["ConfigMap", "Deployment", "PodDisruptionBudget"]
    assert bench.api.objects[Ref.of(resource())]["metadata"]["finalizers"] == [FINALIZER]
    assert bench.broker.applied == ["default.echo"]
    assert bench.said() == "False WorkersStarting"
    assert bench.status["selector"] == "app.kubernetes.io/name=tailrace-worker,app.kubernetes.io/instance=echo"
    assert "model" not in bench.status


async def test_the_finalizer_is_there_before_anything_that_it_must_remove() -> None:
    bench = Bench(resource())
    bench.api.refuse("finalize", Ref.of(resource()), RefusedError("no"))
    with pytest.raises(RefusedError):
        await bench.look()
    assert bench.broker.applied == []
    assert bench.kinds() == []


async def test_a_look_without_a_change_writes_nothing_and_asks_nothing() -> None:
    bench = Bench(resource(), gateway())
    await bench.look()
    for _ in range(3):
        await bench.look()
        assert bench.api.asked == []


async def test_an_edit_by_hand_is_put_right() -> None:
    bench = Bench(resource())
    await bench.look()
    bench.edit(DEPLOYMENT, spec={**bench.api.objects[DEPLOYMENT]["spec"], "replicas": 7})
    await bench.look()
    assert bench.api.objects[DEPLOYMENT]["spec"]["replicas"] == 1
    assert bench.api.written == ["apply Deployment echo-worker"]


async def test_an_operator_that_starts_anew_writes_nothing() -> None:
    first = Bench(resource())
    await first.look()
    second = Bench(*first.api.objects.values())
    await second.look()
    assert second.api.written == []


async def test_a_foreign_object_in_the_way_is_said_and_looked_at_again() -> None:
    bench = Bench(resource(), child(of=None, metadata={"labels": {}}, spec={"replicas": 3}))
    assert await bench.look() == LOOK_AGAIN_S
    assert bench.said() == "False Conflict"
    assert bench.api.objects[DEPLOYMENT]["spec"] == {"replicas": 3}
    del bench.api.objects[DEPLOYMENT]
    assert await bench.look() is None
    assert bench.said() == "False WorkersStarting"


async def test_a_leftover_is_waited_for_without_a_complaint() -> None:
    bench = Bench(resource(), child(metadata=owned_by("the-model-before"), spec={"replicas": 1}))
    with pytest.raises(LeftoverError):
        await bench.look()
    assert "status" not in bench.api.objects[Ref.of(resource())]


@pytest.mark.parametrize("state", ["unreachable", "refused"])
async def test_a_broker_that_is_away_keeps_nothing_else_from_being_done(state: Any) -> None:
    bench = Bench(resource())
    bench.broker.view = BrokerView(state, "words")
    assert await bench.look() == LOOK_AGAIN_S
    assert bench.kinds() == ["ConfigMap", "Deployment", "PodDisruptionBudget"]
    assert bench.said("Degraded").startswith("True NATS")


async def test_passwords_that_its_namespace_lacks_are_said() -> None:
    bench = Bench(resource())
    bench.secrets.tell("default", "Secret x lacks the key worker")
    bench.secrets.tell("elsewhere", "Secret y")
    await bench.look()
    assert bench.said() == "False SecretMissing"
    assert bench.status["conditions"][0]["message"] == "Secret x lacks the key worker"
    bench.secrets.tell("default", "")
    await bench.look()
    assert bench.said() == "False WorkersStarting"


async def test_an_invalid_spec_is_said_and_what_runs_stays() -> None:
    bench = Bench(resource())
    await bench.look()
    serving = {"replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "observedGeneration": 1}
    bench.edit(DEPLOYMENT, status=serving)
    bench.edit(Ref.of(resource()), spec={"engine": {"simulated": {}}, "replicsa": 2})
    await bench.look()
    assert bench.said("Ready") == "True Serving"
    assert bench.said("Degraded") == "True InvalidSpec"
    condition = next(c for c in bench.status["conditions"] if c["type"] == "Degraded")
    assert condition["message"] == "spec.replicsa is no known field; did you mean replicas?"
    assert bench.kinds() == ["ConfigMap", "Deployment", "PodDisruptionBudget"]


async def test_a_log_beyond_the_installations_limit_is_said_and_not_asked_for() -> None:
    bench = Bench(resource())
    bench.edit(Ref.of(resource()), spec={"engine": {"simulated": {}}, "replay": {"maxBytes": "100Gi"}})
    await bench.look()
    assert (bench.kinds(), bench.broker.applied) == ([], [])
    assert (bench.said("Ready"), bench.said("Degraded")) == ("False InvalidSpec", "True InvalidSpec")
    condition = next(c for c in bench.status["conditions"] if c["type"] == "Ready")
    assert "spec.replay.maxBytes 100Gi is more than this installation allows" in condition["message"]
    assert "finalizers" not in bench.api.objects[Ref.of(resource())]["metadata"]


@pytest.mark.parametrize(
    ("value", "paused"), [("true", True), ("True", True), ("1", True), ("yes", True), ("false", False), ("", False)]
)
async def test_a_paused_model_is_left_alone_and_still_reported(value: str, paused: bool) -> None:
    bench = Bench(resource(metadata={"annotations": {PAUSED: value}}))
    await bench.look()
    assert (bench.kinds() == []) is paused
    assert (bench.broker.applied == []) is paused
    assert (bench.said("Progressing") == "False Paused") is paused


async def test_a_deleted_model_leaves_the_broker_before_it_is_let_go() -> None:
    bench = Bench(resource())
    await bench.look()
    known = bench.api.objects[Ref.of(resource())]
    bench.edit(Ref.of(resource()), metadata={**known["metadata"], "deletionTimestamp": "2026-11-22T20:00:00Z"})
    await bench.look()
    assert bench.broker.removed == ["default.echo"]
    assert bench.api.objects[Ref.of(resource())]["metadata"]["finalizers"] == []
    assert bench.api.written == ["finalize StreamingModel echo"]


NAMESPACE = Ref("v1", "Namespace", "", "default")
GOING = {"deletionTimestamp": "2026-11-22T20:00:00Z"}


def namespace(**described: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default", "uid": "uid-ns", **described}}


@pytest.mark.parametrize("of", ["model=echo", "gateway=default"])
async def test_a_model_leaves_the_broker_as_soon_as_its_namespace_goes(of: str) -> None:
    """Kubernetes ends the pods first, and the models only when there are none."""
    bench = Bench(resource(), gateway())
    await bench.look()
    pod = child("some-pod", "Pod", of, metadata=GOING)
    for present in (namespace(**GOING), pod):
        bench.api.objects[Ref.of(present)] = present
    await bench.look()
    assert bench.broker.removed == ["default.echo"]
    assert bench.api.asked == [f"get {NAMESPACE}", "finalize StreamingModel echo"], "while there is the right to"
    assert bench.api.objects[Ref.of(resource())]["metadata"]["finalizers"] == []
    del bench.api.objects[Ref.of(pod)]
    await bench.look()
    assert len(bench.broker.applied) == 1, "nothing is brought about in a namespace that goes"
    bench.api.objects[NAMESPACE] = namespace()
    await bench.look()
    assert len(bench.broker.applied) == 2, "this is another one of that name"


async def test_pods_that_were_never_run_are_gone_without_a_word() -> None:
    bench = Bench(resource(), namespace(), pod := child("some-pod", "Pod"))
    await bench.look()
    assert f"get {NAMESPACE}" not in bench.api.asked
    bench.api.objects[NAMESPACE] = namespace(**GOING)
    del bench.api.objects[Ref.of(pod)]
    await bench.look()
    assert bench.broker.removed == ["default.echo"]


async def test_pods_that_end_for_other_reasons_cost_a_model_nothing() -> None:
    bench = Bench(resource(), namespace(), child("some-pod", "Pod", metadata=GOING))
    await bench.look()
    assert (bench.broker.removed, len(bench.broker.applied)) == ([], 1)
    bench.api.refuse("get", NAMESPACE, RefusedError("no right to"))
    await bench.look()
    assert (bench.broker.removed, len(bench.broker.applied)) == ([], 2)


async def test_a_broker_that_is_away_is_asked_again_to_forget_a_model_whose_namespace_goes() -> None:
    bench = Bench(resource(), namespace(**GOING), child("some-pod", "Pod", metadata=GOING))
    bench.broker.view = BrokerView("unreachable", "it sleeps")
    with pytest.raises(BrokerAwayError, match=r"default\.echo, whose namespace is deleted.*it sleeps"):
        await bench.look()


async def test_a_model_that_is_gone_is_forgotten() -> None:
    bench = Bench(resource())
    await bench.look()
    gauge = bench.tools.reporter._metrics.conditions
    assert len(gauge.collect()[0].samples) == 3
    bench.api.objects.clear()
    assert await bench.look() is None
    assert gauge.collect()[0].samples == []
    assert bench.broker.removed == ["default.echo"], "nobody let go of it before"
    bench.api.asked.clear()
    assert await bench.look() is None
    assert bench.api.asked == []


async def test_workers_wait_for_the_download_and_the_old_ones_stay() -> None:
    bench = Bench(resource())
    await bench.look()
    bench.edit(Ref.of(resource()), spec=CACHED)
    await bench.look()
    assert bench.kinds() == [
        "ConfigMap",
        "ConfigMap",
        "Deployment",
        "Job",
        "PersistentVolumeClaim",
        "PodDisruptionBudget",
    ]
    assert "simulated" in bench.api.objects[DEPLOYMENT]["spec"]["template"]["spec"]["containers"][0]["image"]
    assert bench.said("Progressing") == "True Downloading"
    assert bench.status["model"] == {
        "state": "waiting",
        "bytesDone": 0,
        "bytesTotal": 0,
        "percent": 0,
        "message": "the model is being downloaded",
    }
    assert ECHO in bench.progress._wanted, "its download is listened to"
    (job,) = [ref for ref in bench.api.objects if ref.kind == "Job"]
    bench.edit(job, status={"conditions": [{"type": "Complete", "status": "True"}]})
    await bench.look()
    assert "simulated" not in bench.api.objects[DEPLOYMENT]["spec"]["template"]["spec"]["containers"][0]["image"]
    assert bench.said("Progressing") == "True RollingOut"
    assert bench.status["model"]["state"] == "done"


async def test_a_worker_without_its_volumes_is_looked_at_after_a_minute_and_told_with_its_nodes_words() -> None:
    bench = Bench(resource(), unmounted("echo-worker-x", NOW - timedelta(seconds=40)))
    assert await bench.look() == 20
    assert bench.said() == "False WorkersStarting"
    bench.now += timedelta(seconds=20)
    bench.api._store(Ref("v1", "Event", "default", "e"), event("uid-echo-worker-x", "FailedMount", "no secret y", NOW))
    assert await bench.look() == 60
    assert bench.said() == "False PodNotSetUp"
    assert "no secret y" in bench.status["conditions"][0]["message"]


async def test_a_download_whose_pod_is_refused_is_told_until_it_is_let_in() -> None:
    bench = Bench({**resource(), "spec": CACHED})
    assert await bench.look() == LOOK_AGAIN_S
    (job,) = [ref for ref in bench.api.objects if ref.kind == "Job"]
    words = event(bench.api.objects[job]["metadata"]["uid"], "FailedCreate", "exceeded quota: few-pods", NOW)
    bench.api._store(Ref("v1", "Event", "default", "e"), words)
    assert await bench.look() == LOOK_AGAIN_S
    assert (bench.said(), bench.said("Degraded")) == ("False PodsRefused", "True PodsRefused")
    assert bench.status["model"]["message"].startswith("PodsRefused: no pod is let in for Job echo-fetch-")
    loads = child("echo-fetch-x", "Pod", metadata={"labels": LABELS_OF_FETCH}, status={"phase": "Pending"})
    bench.api._store(Ref.of(loads), loads)
    assert await bench.look() is None
    assert (bench.said(), bench.said("Degraded")) == ("False Downloading", "False AsWanted")


async def test_settings_that_pods_of_an_unfinished_rollout_may_mount_are_kept() -> None:
    bench = Bench(resource())
    await bench.look()
    rolled_out = {"observedGeneration": 9, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1}
    bench.edit(DEPLOYMENT, status={**rolled_out, "replicas": 2})
    bench.edit(Ref.of(resource()), spec={"engine": {"simulated": {"tokensPerSecond": 7}}})
    await bench.look()
    assert bench.kinds().count("ConfigMap") == 2
    bench.edit(DEPLOYMENT, status=rolled_out)
    await bench.look()
    assert bench.kinds().count("ConfigMap") == 1


async def test_unknown_loads_keep_what_was_known() -> None:
    bench = Bench(resource(status={"streams": 3, "queued": 1}))
    await bench.look()
    assert (bench.status["streams"], bench.status["queued"]) == (3, 1)


def scaled(**more: Any) -> dict[str, Any]:
    spec = {"engine": {"simulated": {}}, "scaling": {"maxReplicas": 5}}
    return resource(**{"spec": spec, **more})


async def test_a_paused_model_is_not_scaled_and_does_not_promise_to_be() -> None:
    bench = Bench(scaled())
    await bench.look()
    assert bench.status["scaling"]["replicas"] == 0
    bench.edit(Ref.of(resource()), metadata=scaled(metadata={"annotations": {PAUSED: "true"}})["metadata"])
    await bench.look()
    assert bench.said("Progressing") == "False Paused"
    assert bench.said() == "False NoWorkers"
    assert bench.tools.scaler.told(ECHO) is None
    assert bench.status["scaling"]["reason"] == "as it was found", "the last decision is the one that holds"


async def test_nothing_is_decided_about_a_model_whose_spec_is_refused() -> None:
    bench = Bench(scaled())
    await bench.look()
    schedule = [{"start": "99 8 * * *", "end": "0 9 * * *", "minReplicas": 1}]
    wrong = scaled()
    wrong["spec"]["scaling"]["schedule"] = schedule
    bench.edit(Ref.of(resource()), spec=wrong["spec"])
    await bench.look()
    assert bench.said("Degraded") == "True InvalidSpec"
    assert "no cron time" in str(bench.status["conditions"])
    assert bench.tools.scaler.told(ECHO) is None
    assert bench.status["scaling"]["replicas"] == 0

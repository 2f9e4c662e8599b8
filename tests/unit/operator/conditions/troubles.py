"""A pod for each way of not serving, and the reason that it must be given."""

from dataclasses import dataclass

from tailrace_operator.conditions import PodView
from tailrace_operator.conditions.reasons import BY_CODE

from .given import NOT_SET_UP, NOW, container, crashing, ended, pod, running, unscheduled, waiting

PULL = (
    'Back-off pulling image "ghcr.io/tailrace/worker:9": ErrImagePull: rpc error: code = NotFound desc = failed to '
    'pull and unpack image "ghcr.io/tailrace/worker:9": failed to resolve reference: not found'
)
NO_GPU = (
    "0/2 nodes are available: 2 Insufficient {}. no new claims to deallocate, preemption: 0/2 nodes are available: "
    "2 No preemption victims found for incoming pod."
)
NO_VOLUME = (
    '0/2 nodes are available: persistentvolumeclaim "models" not found. not found. preemption: 0/2 nodes are '
    "available: 2 Preemption is not helpful for scheduling."
)
TOO_LARGE = 'Usage of EmptyDir volume "model" exceeds the limit "10Gi".'
TAINTED = (
    "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint {nvidia.com/gpu: present}. "
    "preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
)
TRACEBACK = 'Traceback (most recent call last):\n  File "x.py", line 1\nValueError: no such thing\n'
GATES = unscheduled("Scheduling is blocked due to non-empty scheduling gates", "SchedulingGated")


@dataclass(frozen=True)
class Trouble:
    """A pod, and what must be said of it."""

    about: str
    pod: PodView
    reason: str
    says: tuple[str, ...]


TROUBLES = [
    Trouble(
        "an image that is not there",
        pod(waiting("ImagePullBackOff", PULL)),
        "ImagePullFailed",
        ("cannot pull ghcr.io/tailrace/worker:0.1.0: Back-off pulling image", "pull secrets"),
    ),
    Trouble(
        "the first try to pull",
        pod(waiting("ErrImagePull", "no basic auth credentials")),
        "ImagePullFailed",
        ("no basic auth credentials",),
    ),
    Trouble("an image name that is none", pod(waiting("InvalidImageName")), "ImagePullFailed", ("InvalidImageName",)),
    Trouble(
        "no GPU free", unscheduled(NO_GPU.format("nvidia.com/gpu")), "NoGPUFree", ("rollout.maxSurge: 0", "2 Insuff")
    ),
    Trouble("no MIG slice free", unscheduled(NO_GPU.format("nvidia.com/mig-1g.5gb")), "NoGPUFree", ("free GPU",)),
    Trouble("no GPU of another vendor free", unscheduled(NO_GPU.format("gpu.intel.com/i915")), "NoGPUFree", ("i915",)),
    Trouble(
        "no CPU free beside a GPU taint", unscheduled(TAINTED), "Unschedulable", ("finds no node: 0/2", "tolerations")
    ),
    Trouble("a scheduler without words", unscheduled(""), "Unschedulable", ("the scheduler found no node",)),
    Trouble("a scheduling gate", GATES, "Unschedulable", ("scheduling gates",)),
    Trouble("a claim that is missing", unscheduled(NO_VOLUME), "VolumeMissing", ('persistentvolumeclaim "models"',)),
    Trouble(
        "a claim that is not bound",
        unscheduled(
            "0/2 nodes are available: pod has unbound immediate "
            "PersistentVolumeClaims. preemption: 0/2 nodes are available"
        ),
        "VolumeMissing",
        ("unbound", "storage class"),
    ),
    Trouble(
        "no volume to bind",
        unscheduled("0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind."),
        "VolumeMissing",
        ("to bind",),
    ),
    Trouble(
        "no volumes or no network",
        pod(waiting("ContainerCreating"), set_up=NOT_SET_UP),
        "PodNotSetUp",
        ("more than a minute", "see kubectl describe pod echo-worker-6d4f-x2x9p", "ReadWriteOnce volume"),
    ),
    Trouble(
        "no volumes for one with init containers",
        pod(waiting("PodInitializing"), init=(waiting("PodInitializing", name="fetch"),), set_up=NOT_SET_UP),
        "PodNotSetUp",
        ("for its volumes or its network",),
    ),
    Trouble(
        "put out by its node",
        pod(container(terminated=ended(137)), phase="Failed", ousted=("Evicted", TOO_LARGE)),
        "PodEvicted",
        (f"put out by its node: Evicted: {TOO_LARGE}", "model.sizeLimit"),
    ),
    Trouble(
        "a Secret that is missing",
        pod(waiting("CreateContainerConfigError", 'secret "hf-token" not found')),
        "SecretMissing",
        ('secret "hf-token" not found', "starts by itself"),
    ),
    Trouble(
        "a key that a Secret lacks",
        pod(waiting("CreateContainerConfigError", "couldn't find key token in Secret default/hf-token")),
        "SecretMissing",
        ("key token",),
    ),
    Trouble(
        "a ConfigMap that is missing",
        pod(waiting("CreateContainerConfigError", 'configmap "x" not found')),
        "ContainerConfigError",
        ("cannot start worker", 'configmap "x" not found'),
    ),
    Trouble(
        "a command that is not there",
        pod(waiting("RunContainerError", 'exec: "pyton": not found in $PATH')),
        "ContainerConfigError",
        ("pyton",),
    ),
    Trouble(
        "killed at its memory limit",
        pod(crashing(code=137, reason="OOMKilled")),
        "OutOfMemory",
        ("worker was killed for using more than its memory limit", "contextLength", "restarts: 3"),
    ),
    Trouble(
        "killed a moment ago", pod(container(terminated=ended(137, "", "OOMKilled"))), "OutOfMemory", ("restarts: 0",)
    ),
    Trouble(
        "a crash with a traceback",
        pod(crashing(TRACEBACK)),
        "Crashed",
        ("worker ended: ValueError: no such thing", "kubectl logs --previous"),
    ),
    Trouble("a crash without a word", pod(crashing(code=139)), "Crashed", ("exit code 139",)),
    Trouble(
        "a code of a newer version", pod(crashing("new_code: something else")), "Crashed", ("new_code: something",)
    ),
    Trouble("a program that ends again and again without an error", pod(crashing(code=0)), "Crashed", ("exit code 0",)),
    Trouble(
        "a try after a crash",
        pod(running(restarts=1, last=ended(1, "engine_failed: CUDA error"))),
        "EngineFailed",
        ("CUDA error", "restarts: 1"),
    ),
    Trouble(
        "killed while it loaded, after its last words",
        pod(running(restarts=1, last=ended(137, "startup_timeout: told to stop after 1800 s: raise startup.deadline"))),
        "StartupTimeout",
        ("raise startup.deadline", "restarts: 1"),
    ),
    Trouble(
        "an init container that fails",
        pod(
            waiting("PodInitializing"),
            init=(
                crashing("token_refused: the hub refuses the token: correct Secret hf-token, key token", name="fetch"),
            ),
        ),
        "TokenRefused",
        ("correct Secret hf-token, key token",),
    ),
    Trouble(
        "an init container that tries again",
        pod(
            waiting("PodInitializing"),
            init=(running(name="fetch", restarts=2, last=ended(1, "disk_full: 40 GB are needed and 12 GB free")),),
        ),
        "DiskFull",
        ("40 GB are needed", "restarts: 2"),
    ),
    *(
        Trouble(
            f"the last words {code}",
            pod(crashing(f"{code}: a sentence\nof two lines")),
            reason.name,
            ("a sentence\nof two lines",),
        )
        for code, reason in BY_CODE.items()
    ),
]

#: Pods that do not serve, and do not complain either.
QUIET = {
    "just scheduled": pod(waiting("ContainerCreating")),
    "without its volumes for a while": pod(
        waiting("ContainerCreating"), set_up=NOT_SET_UP | {"lastTransitionTime": "2026-11-22T20:09:01Z"}
    ),
    "of a kubelet that does not say whether it is set up": pod(waiting("ContainerCreating"), set_up={"type": "Other"}),
    "deleted before it had its volumes": pod(waiting("ContainerCreating"), set_up=NOT_SET_UP, going=True),
    "initializing": pod(waiting("PodInitializing"), init=(running(),)),
    "loading": pod(running(), phase="Running"),
    "loading after an init container that succeeded after a failure": pod(
        running(), init=(container("fetch", restarts=1, last=ended(1, "source_unreachable: x"), terminated=ended(0)),)
    ),
    "initializing again after its sandbox was made anew": pod(
        waiting("PodInitializing"), init=(running(last=ended(0)),)
    ),
    "served since it crashed, and does not now": pod(
        running(since="2026-11-22T20:05:00Z", restarts=1, last=ended(1, "engine_failed: x")),
        ready_since="2026-11-22T20:05:01Z",
    ),
    "going": pod(crashing("engine_failed: x"), going=True),
    "deleted while it loaded": pod(container(terminated=ended(1, "startup_timeout: x")), going=True),
    "over, and its node did not say why": pod(container(terminated=ended(137)), phase="Failed"),
    "done": pod(container(terminated=ended(0)), phase="Succeeded"),
    "ready": pod(running(restarts=1, last=ended(1, "engine_failed: x")), ready=True),
    "without any status yet": PodView.of({"metadata": {"name": "p"}}, NOW),
}

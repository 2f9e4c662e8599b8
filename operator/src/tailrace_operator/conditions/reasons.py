"""All reasons that conditions give: the one source of the names, of the advice, and of docs/conditions.md."""

from tailrace_operator.conditions.reason import Reason, Tone

_MODEL, _GATEWAY = "StreamingModel", "StreamingGateway"
_MODELS, _GATEWAYS, _BOTH = (_MODEL,), (_GATEWAY,), (_MODEL, _GATEWAY)
_NOT_READY, _HALTED, _GOES_ON, _DEGRADED = "Ready=False", "Progressing=False", "Progressing=True", "Degraded=True"
#: How what stops everything is shown, and what keeps pods from serving.
_STOPPED = (_NOT_READY, _HALTED, _DEGRADED)
_OF_PODS = (_NOT_READY, _GOES_ON, _DEGRADED)

SERVING = Reason("Serving", Tone.FINE, _BOTH, ("Ready=True",), "At least one pod is ready.", "nothing")
COMPLETE = Reason("Complete", Tone.FINE, _BOTH, (_HALTED,), "All is as the resource asks.", "nothing")
AS_WANTED = Reason("AsWanted", Tone.FINE, _BOTH, ("Degraded=False",), "Nothing is wrong.", "nothing")

WORKERS_STARTING = Reason(
    "WorkersStarting",
    Tone.UNDERWAY,
    _MODELS,
    (_NOT_READY,),
    "No worker is ready yet, and none says that something is wrong.",
    "wait: the message holds what the newest worker says of itself; startup.deadline is the limit",
)
GATEWAYS_STARTING = Reason(
    "GatewaysStarting", Tone.UNDERWAY, _GATEWAYS, (_NOT_READY,), "No gateway pod is ready yet.", "wait some seconds"
)
WAITING_FOR_GATEWAY = Reason(
    "WaitingForGateway",
    Tone.UNDERWAY,
    _MODELS,
    (_NOT_READY,),
    "Workers serve, and the model's gateway is still starting.",
    "wait some seconds",
)
SCALED_TO_ZERO = Reason(
    "ScaledToZero",
    Tone.FINE,
    _MODELS,
    ("Ready=True",),
    "Nothing is in flight and scaling.minReplicas is 0: the next request starts a worker, and waits for it.",
    "nothing",
)
NO_WORKERS = Reason(
    "NoWorkers",
    Tone.UNDERWAY,
    _MODELS,
    (_NOT_READY,),
    "`spec.replicas` is 0: requests wait in the queue.",
    "raise spec.replicas",
)
NO_GATEWAYS = Reason(
    "NoGateways",
    Tone.UNDERWAY,
    _GATEWAYS,
    (_NOT_READY,),
    "`spec.replicas` is 0: no client can be served.",
    "raise spec.replicas",
)
ADDRESS_PENDING = Reason(
    "AddressPending",
    Tone.UNDERWAY,
    _GATEWAYS,
    (_NOT_READY,),
    "The gateway serves inside the cluster, but its load balancer has no address yet.",
    "wait, or see why the cluster gives none: describe the Service",
)
DOWNLOADING = Reason(
    "Downloading",
    Tone.UNDERWAY,
    _MODELS,
    (_NOT_READY, _GOES_ON),
    "The model is being downloaded to its cache. Workers of the model before it go on serving.",
    "wait: the message tells how far it is",
)
ROLLING_OUT = Reason(
    "RollingOut",
    Tone.UNDERWAY,
    _BOTH,
    (_GOES_ON,),
    "Pods are being made or replaced.",
    "wait: no stream is cut",
)
PAUSED = Reason(
    "Paused",
    Tone.UNDERWAY,
    _BOTH,
    (_HALTED,),
    "The resource bears the annotation `tailrace.dev/paused`: the operator changes nothing.",
    "remove the annotation tailrace.dev/paused to go on",
)

INVALID_SPEC = Reason(
    "InvalidSpec",
    Tone.WRONG,
    _BOTH,
    _STOPPED,
    "The spec breaks a rule that the API server did not know when it was applied: it asks for more than this "
    "installation allows, or the CRD is older than the operator. What runs goes on as it is.",
    "correct the fields that the message names, and see that the CRDs are of the operator's version",
)
CONFLICT = Reason(
    "Conflict",
    Tone.WRONG,
    _BOTH,
    _STOPPED,
    "An object that the resource needs is somebody else's, or the API server refuses it (a quota of volumes, "
    "a policy, a field that cannot be changed). What runs goes on. Pods that are refused are `PodsRefused`.",
    "delete or rename the object that the message names, or mend what the API server complains of",
)
NATS_UNREACHABLE = Reason(
    "NATSUnreachable",
    Tone.WRONG,
    _BOTH,
    (*_STOPPED, _GOES_ON),
    "The operator, or a pod, cannot reach NATS. Ready stays True while workers serve.",
    "check that NATS runs, its address in the operator's settings, network policies and the credentials Secret",
    code="broker_unavailable",
)
NATS_REFUSED = Reason(
    "NATSRefused",
    Tone.WRONG,
    _MODELS,
    _STOPPED,
    "NATS refuses the model's streams: no room, a limit of the account, or a change that it cannot make.",
    "raise NATS's limits or lower replay.maxBytes; a change that cannot be made needs the model deleted and made anew",
)
DOWNLOAD_FAILED = Reason(
    "DownloadFailed",
    Tone.WRONG,
    _MODELS,
    _STOPPED,
    "The download was given up.",
    "mend what the message tells; then delete the Job that it names, or change model.source",
)
STALLED = Reason(
    "Stalled",
    Tone.WRONG,
    _BOTH,
    (_HALTED, _DEGRADED),
    "A rollout has not progressed for its deadline (for workers startup.deadline and 5 minutes). Old pods go on.",
    "mend what the message tells, or apply the former spec again to go back",
)
GATEWAY_NOT_READY = Reason(
    "GatewayNotReady",
    Tone.WRONG,
    _MODELS,
    (_NOT_READY, _DEGRADED),
    "The model's gateway is missing or cannot serve.",
    "see the conditions of the StreamingGateway that the message names",
)
FEWER_WORKERS = Reason(
    "FewerWorkersThanWanted",
    Tone.WRONG,
    _MODELS,
    (_DEGRADED,),
    "Workers that served, or tried to, do not any more.",
    "see the events and logs of the pods that the message names",
)
FEWER_GATEWAYS = Reason(
    "FewerGatewaysThanWanted",
    Tone.WRONG,
    _GATEWAYS,
    (_DEGRADED,),
    "Gateway pods that served, or tried to, do not any more.",
    "see the events and logs of the pods that the message names",
)

PODS_REFUSED = Reason(
    "PodsRefused",
    Tone.WRONG,
    _BOTH,
    _OF_PODS,
    "The API server refuses to make pods: a ResourceQuota, Pod Security, a ServiceAccount that does not exist, an "
    "admission webhook. Pods that are there go on.",
    "mend what the API server complains of; Kubernetes then tries again by itself, within 17 minutes at most",
)
VOLUME_MISSING = Reason(
    "VolumeMissing",
    Tone.WRONG,
    _MODELS,
    _OF_PODS,
    "A pod waits for a PersistentVolumeClaim that does not exist or is not bound.",
    "make the claim, or see why it is not bound: its storage class, size and access mode",
)
NO_GPU_FREE = Reason(
    "NoGPUFree",
    Tone.WRONG,
    _MODELS,
    _OF_PODS,
    "No node has as many free GPUs as a worker asks for.",
    "free or add GPUs, lower replicas, or set rollout.maxSurge: 0 and maxUnavailable: 1",
)
UNSCHEDULABLE = Reason(
    "Unschedulable",
    Tone.WRONG,
    _BOTH,
    _OF_PODS,
    "No node takes a pod: too little CPU or memory, or no node that it may run on.",
    "add room, ask for less (resources), or see nodeSelector, tolerations and affinity",
)
POD_NOT_SET_UP = Reason(
    "PodNotSetUp",
    Tone.WRONG,
    _BOTH,
    _OF_PODS,
    "A pod's node has not given it its volumes or its network for more than a minute.",
    "free a ReadWriteOnce volume that another node uses, make the Secret or ConfigMap that the pod mounts, or see the "
    "node's network; the pod then starts by itself",
)
POD_EVICTED = Reason(
    "PodEvicted",
    Tone.WRONG,
    _BOTH,
    _OF_PODS,
    "No pod serves, and its node put the last one out: a volume beyond its size, a node short of memory or disk.",
    "raise the limit that the message names (for a downloaded model: model.sizeLimit), or see what the node lacks",
)
IMAGE_PULL_FAILED = Reason(
    "ImagePullFailed",
    Tone.WRONG,
    _BOTH,
    _OF_PODS,
    "A container's image cannot be pulled.",
    "check the image's name and that the node may pull it (pull secrets, registry)",
)
SECRET_MISSING = Reason(
    "SecretMissing",
    Tone.WRONG,
    _BOTH,
    _OF_PODS,
    "A container needs a Secret, or a key of one, that does not exist: one that the spec names, or NATS's passwords.",
    "make the Secret that the message names: the pod starts by itself",
)
CONTAINER_CONFIG_ERROR = Reason(
    "ContainerConfigError",
    Tone.WRONG,
    _BOTH,
    _OF_PODS,
    "The node cannot start a container as it is described.",
    "correct what the message names",
)
OUT_OF_MEMORY = Reason(
    "OutOfMemory",
    Tone.WRONG,
    _BOTH,
    _OF_PODS,
    "A container was killed at its memory limit, or the GPU's memory does not suffice.",
    "raise the memory that resources give, or lower what the engine takes (contextLength, maxStreams)",
    code="out_of_memory",
)
CRASHED = Reason(
    "Crashed",
    Tone.WRONG,
    _BOTH,
    _OF_PODS,
    "A container ended for a reason that it could not name.",
    "see its log: kubectl logs --previous",
)
MODEL_NOT_FOUND = Reason(
    "ModelNotFound",
    Tone.WRONG,
    _MODELS,
    _OF_PODS,
    "The source has no such model, or its directory holds none.",
    "correct model.source",
    code="model_not_found",
)
REVISION_NOT_FOUND = Reason(
    "RevisionNotFound",
    Tone.WRONG,
    _MODELS,
    _OF_PODS,
    "The repository has no such revision.",
    "correct model.source.hf.revision",
    code="revision_not_found",
)
TOKEN_REFUSED = Reason(
    "TokenRefused",
    Tone.WRONG,
    _MODELS,
    _OF_PODS,
    "The source wants credentials, or refuses those that it was given; for gated models also until their terms are "
    "accepted.",
    "correct the Secret that model.source names, or accept the model's terms with the token's account",
    code="token_refused",
)
BAD_SOURCE = Reason(
    "BadSource",
    Tone.WRONG,
    _MODELS,
    _OF_PODS,
    "The source holds something that cannot be used.",
    "correct model.source as the message says",
    code="bad_source",
)
SOURCE_UNREACHABLE = Reason(
    "SourceUnreachable",
    Tone.WRONG,
    _MODELS,
    _OF_PODS,
    "The source did not answer for too long. What was downloaded is kept, and the download goes on from there.",
    "check the source's address, proxies and network policies",
    code="source_unreachable",
)
CHECKSUM_MISMATCH = Reason(
    "ChecksumMismatch",
    Tone.WRONG,
    _MODELS,
    _OF_PODS,
    "A file is not what its checksum says. It is fetched again; nothing wrong is ever served.",
    "correct the checksum in model.source, or mend the source",
    code="checksum_mismatch",
)
DISK_FULL = Reason(
    "DiskFull",
    Tone.WRONG,
    _MODELS,
    _OF_PODS,
    "The model does not fit on its volume or on the node's disk.",
    "enlarge model.cache.size (a bound claim: in the claim itself) or model.sizeLimit",
    code="disk_full",
)
TARGET_OCCUPIED = Reason(
    "TargetOccupied",
    Tone.WRONG,
    _MODELS,
    _OF_PODS,
    "The model's directory on the cache holds something that the download did not make.",
    "remove what the message names from the volume",
    code="target_occupied",
)
VOLUME_FAILED = Reason(
    "VolumeFailed",
    Tone.WRONG,
    _MODELS,
    _OF_PODS,
    "The cache's volume cannot be read or written.",
    "see the volume's own health, and that group 65532 may write to it",
    code="volume_failed",
)
BAD_ENGINE_ARGUMENT = Reason(
    "BadEngineArgument",
    Tone.WRONG,
    _MODELS,
    _OF_PODS,
    "vLLM refuses an argument, or the combination of some, for this model.",
    "correct the field of engine.vllm that the message names",
    code="bad_engine_argument",
)
ENGINE_FAILED = Reason(
    "EngineFailed",
    Tone.WRONG,
    _MODELS,
    _OF_PODS,
    "vLLM did not start, or died.",
    "see the worker's log: kubectl logs --previous",
    code="engine_failed",
)
STARTUP_TIMEOUT = Reason(
    "StartupTimeout",
    Tone.WRONG,
    _MODELS,
    _OF_PODS,
    "A worker had not loaded within startup.deadline, and was started again.",
    "raise startup.deadline if the model needs longer; else see what it waited for: kubectl logs --previous",
    code="startup_timeout",
)
BAD_SETTINGS = Reason(
    "BadSettings",
    Tone.WRONG,
    _BOTH,
    _OF_PODS,
    "A container cannot read its settings: its image and the operator are of different versions.",
    "use images of the operator's version",
    code="bad_settings",
)
ADDRESS_IN_USE = Reason(
    "AddressInUse",
    Tone.WRONG,
    _BOTH,
    _OF_PODS,
    "A container's port is taken, for example by a sidecar.",
    "give the sidecar another port",
    code="address_in_use",
)

ALL: tuple[Reason, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Reason))
BY_NAME = {reason.name: reason for reason in ALL}
BY_CODE = {reason.code: reason for reason in ALL if reason.code}

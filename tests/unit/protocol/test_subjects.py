"""Names on the broker: a stream id is its log's subject, and nothing but a plain name becomes part of one."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tailrace_protocol import subjects
from tailrace_protocol.errors import ErrorCode, TailraceError
from tailrace_protocol.subjects import ModelKey, StreamId

from .strategies import examples

_EDGE = st.sampled_from("az09")
_MIDDLE = st.text("az09-", max_size=61)
LABELS = _EDGE | st.tuples(_EDGE, _MIDDLE, _EDGE).map("".join)
ORIGINS = st.text("az09", min_size=4, max_size=16)
TOKENS = st.text("az27", min_size=33, max_size=33)
KEYS = st.builds(ModelKey, LABELS, LABELS)
IDS = st.builds(StreamId, LABELS, LABELS, ORIGINS, TOKENS)

FORBIDDEN = [*".*> \t\r\n\x00\x7f\\/$", "\u00e9", "\u0430", "\uff41", "\u2028", "\U0001f30a", "\ud800"]
#: Text that holds, somewhere, a character that no subject of ours may get from outside.
UNFIT = st.tuples(st.text("ab2-", max_size=20), st.sampled_from(FORBIDDEN), st.text("ab2-", max_size=20)).map("".join)

KEY = ModelKey("n", "m")
ID = StreamId("n", "m", "g7k2", "a" * 33)
LONGEST_KEY = ModelKey("n" * 63, "m" * 63)
LONGEST_ID = StreamId("n" * 63, "m" * 63, "o" * 16, "t" * 33)


@given(stream=IDS)
@examples(80)
def test_a_stream_id_is_read_as_it_was_written(stream):
    assert StreamId.parse(str(stream)) == stream
    assert subjects.log(stream) == f"tr.log.{stream}"
    assert str(stream.key) == f"{stream.namespace}.{stream.model}"


@given(key=KEYS, origin=ORIGINS, created=st.integers(0, 2**35 - 1))
@examples(50)
def test_a_new_stream_id_tells_its_model_its_gateway_and_its_time(key, origin, created):
    stream = StreamId.parse(str(StreamId.new(key, origin, created)))
    assert (stream.key, stream.origin, stream.created) == (key, origin, created)


def test_stream_ids_cannot_be_guessed_from_one_another():
    ids = [StreamId.new(KEY, "g7k2", 1760000000).token for _ in range(200)]
    secrets = {token[:26] for token in ids}
    assert len(secrets) == 200
    assert 26 * 5 >= 128, "random bits"
    assert all(len({token[i] for token in ids}) > 10 for i in range(26)), "every character of the secret varies"


@given(text=st.text(max_size=120) | st.text("abz29-.*>", max_size=60) | UNFIT)
@examples(150)
def test_text_is_a_stream_id_or_names_no_stream(text):
    if re.fullmatch(r"(?:[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?\.){2}[a-z0-9]{4,16}\.[a-z2-7]{33}", text):
        assert str(StreamId.parse(text)) == text
        return
    with pytest.raises(TailraceError) as error:
        StreamId.parse(text)
    assert error.value.code is ErrorCode.STREAM_NOT_FOUND
    assert error.value.param == "stream_id"


PARTS = {
    "namespace of a model": lambda text: ModelKey(text, "m"),
    "name of a model": lambda text: ModelKey("n", text),
    "namespace of a stream": lambda text: StreamId(text, "m", "g7k2", "a" * 33),
    "model of a stream": lambda text: StreamId("n", text, "g7k2", "a" * 33),
    "origin of a stream": lambda text: StreamId("n", "m", text, "a" * 33),
    "token of a stream": lambda text: StreamId("n", "m", "g7k2", text),
    "origin of a new stream": lambda text: StreamId.new(KEY, text, 0),
    "stream id": StreamId.parse,
    "lane": lambda text: subjects.requests(KEY, text),
    "origin of logs": subjects.logs_of_origin,
    "origin of controls": subjects.controls_of_origin,
    "worker": lambda text: subjects.worker_report(KEY, text),
    "gateway": subjects.gateway_report,
    "client name": subjects.worker_client_name,
}


@pytest.mark.parametrize("part", PARTS)
@given(text=UNFIT)
@examples(30)
def test_no_wildcard_dot_space_control_or_foreign_character_gets_into_a_subject(part, text):
    if text == subjects.EVERY and part in ("lane", "worker"):
        return
    with pytest.raises((TailraceError, ValueError)):
        PARTS[part](text)


TRICKY = ["", "a" * 300, "a\n", "\na", "*", ">", "a.*", "a.>", "a b"]


@pytest.mark.parametrize(
    ("part", "text"),
    [(p, t) for p in PARTS for t in TRICKY if t != subjects.EVERY or p not in ("lane", "worker")],
)
def test_nothing_too_long_and_no_pattern_becomes_part_of_a_subject(part, text):
    with pytest.raises((TailraceError, ValueError)):
        PARTS[part](text)


@pytest.mark.parametrize("label", ["-a", "a-", "A", "a_b", "a" * 64])
def test_a_model_is_named_by_dns_labels(label):
    with pytest.raises(TailraceError, match="DNS label"):
        ModelKey("n", label)


@given(tenant=st.text(), key=st.text(st.characters()) | UNFIT, model=KEYS)
@examples(50)
def test_any_idempotency_key_makes_one_plain_subject(tenant, key, model):
    subject = subjects.idempotency(model, tenant, key)
    assert re.fullmatch(rf"tr\.key\.{re.escape(str(model))}\.[0-9a-f]{{40}}", subject)
    assert subject == subjects.idempotency(model, tenant, key)


@given(one=st.tuples(st.text("a\x00:1"), st.text("a\x00:1")), other=st.tuples(st.text("a\x00:1"), st.text("a\x00:1")))
@examples(80)
def test_tenants_never_share_an_idempotency_key(one, other):
    same = subjects.idempotency(KEY, *one) == subjects.idempotency(KEY, *other)
    assert same == (one == other)


def test_tenants_cannot_be_confused_by_where_their_name_ends():
    assert subjects.idempotency(KEY, "a\x00b", "c") != subjects.idempotency(KEY, "a", "b\x00c")
    assert subjects.idempotency(KEY, "ab", "c") != subjects.idempotency(KEY, "a", "bc")


EVERY_NAME = {
    "tr.req.n.m.any": subjects.requests(KEY),
    "tr.req.n.m.gpu-0": subjects.requests(KEY, "gpu-0"),
    "tr.req.n.m.*": subjects.requests(KEY, subjects.EVERY),
    f"tr.log.{ID}": subjects.log(ID),
    "tr.log.n.m.>": subjects.logs_of_model(KEY),
    "tr.log.*.*.g7k2.*": subjects.logs_of_origin("g7k2"),
    f"tr.ctl.{ID}": subjects.control(ID),
    "tr.ctl.n.m.>": subjects.controls_of_model(KEY),
    "tr.ctl.*.*.g7k2.*": subjects.controls_of_origin("g7k2"),
    "tr.hb.worker.n.m.w-0": subjects.worker_report(KEY, "w-0"),
    "tr.hb.worker.n.m.*": subjects.worker_report(KEY, subjects.EVERY),
    "tr.hb.worker.>": subjects.ALL_WORKER_REPORTS,
    "tr.hb.gateway.g7k2": subjects.gateway_report("g7k2"),
    "tr.hb.gateway.>": subjects.ALL_GATEWAY_REPORTS,
    "tr.hb.fetch.n.m": subjects.fetch_report(KEY),
    "tr.hb.fetch.>": subjects.ALL_FETCH_REPORTS,
    "tr.wake.n.m": subjects.wake(KEY),
    "tr.key.n.m.>": subjects.idempotency_of_model(KEY),
    "tr_req_n_m": subjects.queue_stream(KEY),
    "tr_log_n_m": subjects.log_stream(KEY),
    "tailrace-worker-w-0": subjects.worker_client_name("w-0"),
    "workers": subjects.WORKERS_CONSUMER,
    "tailrace_models": subjects.MODELS_BUCKET,
    "tailrace_payloads": subjects.PAYLOADS_BUCKET,
}


@pytest.mark.parametrize("name", EVERY_NAME)
def test_names_on_the_broker_stay_what_they_are(name):
    assert EVERY_NAME[name] == name


def test_subscriptions_cover_the_subjects_they_are_for():
    assert _covers(subjects.logs_of_model(KEY), subjects.log(ID))
    assert _covers(subjects.logs_of_origin(ID.origin), subjects.log(ID))
    assert _covers(subjects.controls_of_model(KEY), subjects.control(ID))
    assert _covers(subjects.controls_of_origin(ID.origin), subjects.control(ID))
    assert _covers(subjects.requests(KEY, subjects.EVERY), subjects.requests(KEY))
    assert _covers(subjects.worker_report(KEY, subjects.EVERY), subjects.worker_report(KEY, "w"))
    assert _covers(subjects.ALL_WORKER_REPORTS, subjects.worker_report(KEY, "w"))
    assert _covers(subjects.ALL_GATEWAY_REPORTS, subjects.gateway_report("g"))
    assert _covers(subjects.ALL_FETCH_REPORTS, subjects.fetch_report(KEY))
    assert _covers(subjects.idempotency_of_model(KEY), subjects.idempotency(KEY, "", "k"))


@given(one=IDS, other=IDS)
@examples(50)
def test_subscriptions_of_one_model_or_gateway_do_not_see_anothers_logs(one, other):
    assert _covers(subjects.logs_of_model(one.key), subjects.log(other)) == (one.key == other.key)
    assert _covers(subjects.logs_of_origin(one.origin), subjects.log(other)) == (one.origin == other.origin)


@given(one=KEYS, other=KEYS)
@examples(50)
def test_models_never_share_a_jetstream_stream(one, other):
    assert (subjects.log_stream(one) == subjects.log_stream(other)) == (one == other)
    assert (subjects.queue_stream(one) == subjects.queue_stream(other)) == (one == other)


@given(key=KEYS)
@examples(50)
def test_a_jetstream_stream_tells_whose_it_is(key):
    assert subjects.model_of(subjects.log_stream(key)) == subjects.model_of(subjects.queue_stream(key)) == key


@pytest.mark.parametrize(
    "name", ["tr_log_n", "tr_log_N_m", "tr_log_n_m_x", "tr_key_n_m", "KV_tailrace_models", "tr_req_n_-"]
)
def test_a_stream_of_somebody_else_is_no_models(name):
    assert subjects.model_of(name) is None


def test_the_longest_names_fit_the_broker():
    assert len(subjects.log_stream(LONGEST_KEY)) <= 255, "JetStream's limit for the name of a stream"
    assert len(subjects.queue_stream(LONGEST_KEY)) <= 255
    assert len(subjects.log(LONGEST_ID)) == 185
    assert len(subjects.worker_report(LONGEST_KEY, "w" * 128)) < 1024
    assert StreamId.parse(str(LONGEST_ID)) == LONGEST_ID


def _covers(pattern, subject):
    """Whether a subscription to `pattern` receives `subject`, as NATS matches them."""
    wanted, given_ = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        wanted, given_ = wanted[:-1], given_[: len(wanted) - 1]
        if len(subject.split(".")) <= len(wanted):
            return False
    return len(wanted) == len(given_) and all(w in ("*", g) for w, g in zip(wanted, given_, strict=True))

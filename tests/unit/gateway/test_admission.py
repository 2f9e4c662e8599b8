"""What the gateway understands of a request, and the sentence for each that it does not."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tailrace_gateway.admission import make_request, read_ask, read_position, read_wishes
from tailrace_protocol.errors import TailraceError
from tailrace_protocol.subjects import ModelKey, StreamId

MESSAGES = [{"role": "user", "content": "hi"}]


def ask(kind="chat", **fields):
    return read_ask(kind, json.dumps({"model": "m", "messages": MESSAGES, "prompt": "p", **fields}).encode())


def test_the_body_travels_untouched():
    body = b'{ "model": "m", "messages": [{"role":"user","content":"\\u00e9"}], "x": 1.10 }'
    assert read_ask("chat", body).body == body


@pytest.mark.parametrize(("n", "choices"), [(None, 1), (1, 1), (128, 128)])
def test_choices_within_the_limit_are_accepted(n, choices):
    assert ask(n=n).choices == choices


@pytest.mark.parametrize("n", [0, -1, 129])
def test_choices_beyond_the_limit_are_refused_by_name(n):
    with pytest.raises(TailraceError, match="'n' is"):
        ask(n=n)


@given(st.binary(max_size=200))
def test_no_body_raises_anything_but_a_told_error(body):
    status = 200
    try:
        read_ask("chat", body)
    except TailraceError as error:
        status = error.status
    assert status in (200, 400)


def test_an_idempotency_key_implies_that_the_stream_goes_on():
    assert read_wishes({"idempotency-key": "k"}).policy == "continue"
    assert read_wishes({"idempotency-key": "k", "tailrace-on-disconnect": "cancel"}).policy == "cancel"
    assert read_wishes({}).policy is None


@pytest.mark.parametrize(("length", "good"), [(0, False), (1, True), (255, True), (256, False)])
def test_idempotency_keys_have_a_bounded_length(length, good):
    headers = {"idempotency-key": "k" * length}
    if good:
        assert read_wishes(headers).idempotency_key == "k" * length
    else:
        with pytest.raises(TailraceError, match="Idempotency-Key"):
            read_wishes(headers)


def test_the_header_wins_over_the_parameter():
    assert read_position("7", "3") == 7
    assert read_position(None, "3") == 3
    assert read_position(None, None) == 0
    assert read_position("", "3") == 3


@pytest.mark.parametrize("kind", ["chat", "completion"])
@pytest.mark.parametrize("choices", [1, 3])
def test_the_log_begins_with_one_frame_for_each_choice(kind, choices):
    stream = StreamId.new(ModelKey("default", "m"), "abcd", 1_800_000_000)
    request, accepted = make_request(ask(kind, stream=True, n=choices), stream, 1_800_000_000)
    frames = [json.loads(bytes(frame)) for frame in accepted.frames]
    assert [frame["choices"][0]["index"] for frame in frames] == list(range(choices))
    assert {frame["id"] for frame in frames} == {request.response_id}
    assert request.first_position == choices + 1


def test_an_answer_without_streaming_begins_at_position_two():
    stream = StreamId.new(ModelKey("default", "m"), "abcd", 1_800_000_000)
    request, accepted = make_request(ask(n=5), stream, 1_800_000_000)
    assert accepted.frames == []
    assert request.first_position == 2


@pytest.mark.parametrize(
    ("prompt", "prompts"), [("one", 1), (["one"], 1), (["one", "two"], 2), ([1, 2, 3], 1), ([[1, 2], [3]], 2)]
)
def test_several_prompts_are_so_many_choices_each(prompt, prompts):
    assert ask("completion", prompt=prompt, n=2).choices == 2 * prompts


@pytest.mark.parametrize(("prompts", "n", "good"), [(128, 1, True), (129, 1, False), (2, 64, True), (2, 65, False)])
def test_prompts_times_choices_have_the_limit_of_choices(prompts, n, good):
    if good:
        assert ask("completion", prompt=["x"] * prompts, n=n).choices == prompts * n
    else:
        with pytest.raises(TailraceError, match="more than 128 answers") as refused:
            ask("completion", prompt=["x"] * prompts, n=n)
        assert refused.value.param == "prompt"

"""Messages and bytes: what is written is read again, what is newer is skipped, what is broken is one kind of error."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tailrace_protocol.control import decode_control
from tailrace_protocol.events import TokenGroup, decode_event
from tailrace_protocol.requests import Request, decode_request
from tailrace_protocol.wire import MalformedMessageError, encode

from .samples import V1, decoder, has_kind, messages
from .strategies import any_message, examples, json_values

each_message = pytest.mark.parametrize("kind", messages(), ids=lambda kind: kind.__name__)
each_union = pytest.mark.parametrize("decode", [decode_event, decode_control])


@each_message
@given(data=st.data())
@examples(25)
def test_every_message_is_read_as_it_was_written(kind, data):
    message = data.draw(any_message(kind))
    assert decoder(kind)(encode(message)) == message


@each_message
@given(data=st.data())
@examples(20)
def test_fields_of_a_newer_version_are_ignored_at_every_level(kind, data):
    message = data.draw(any_message(kind))
    extra = data.draw(json_values)
    known = msgspec.json.decode(encode(message))
    assert decoder(kind)(msgspec.json.encode(_with_extra_fields(message, known, extra))) == message


@each_union
@given(kind=st.text(), fields=st.dictionaries(st.text().filter(lambda name: name != "t"), json_values, max_size=4))
@examples(40)
def test_a_kind_of_a_newer_version_is_nothing_rather_than_an_error(decode, kind, fields):
    fresh = kind + "-of-the-future"
    assert decode(msgspec.json.encode({"t": fresh, **fields})) is None
    assert decode(msgspec.json.encode({**fields, "t": fresh})) is None


@each_union
@pytest.mark.parametrize("data", [b'{"v":1}', b'{"t":1}', b'{"t":null}', b"{}", b"[]", b"null", b'"cancel"', b"7"])
def test_a_message_without_a_kind_is_malformed(decode, data):
    with pytest.raises(MalformedMessageError):
        decode(data)


@each_message
@given(data=st.binary(max_size=200))
@examples(25)
def test_random_bytes_are_malformed(kind, data):
    with pytest.raises(MalformedMessageError):
        decoder(kind)(data)


@each_message
@given(data=st.data())
@examples(25)
def test_a_truncated_message_is_malformed(kind, data):
    whole = encode(data.draw(any_message(kind)))
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(MalformedMessageError):
        decoder(kind)(whole[:cut])


@each_message
@given(data=st.data())
@examples(40)
def test_a_damaged_message_is_read_or_malformed_but_no_other_error(kind, data):
    damaged = bytearray(encode(data.draw(any_message(kind))))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    _read_or_malformed(decoder(kind), bytes(damaged))


@each_message
@given(data=st.data())
@examples(30)
def test_a_field_of_another_type_is_read_or_malformed_but_no_other_error(kind, data):
    fields = msgspec.json.decode(encode(data.draw(any_message(kind))))
    fields[data.draw(st.sampled_from(sorted(fields)))] = data.draw(json_values)
    _read_or_malformed(decoder(kind), msgspec.json.encode(fields))


DEEP = b"[" * 100_000
HOSTILE = {
    "nested objects": b'{"a":' * 100_000,
    "nested arrays": DEEP,
    "nested in an unknown field": b'{"t":"checkpoint","x":' + DEEP,
    "nested in an unknown kind": b'{"t":"of-the-future","x":' + DEEP + b"]" * 100_000 + b"}",
    "nested before the kind": b'{"x":' + DEEP + b"]" * 100_000 + b',"t":"of-the-future"}',
    "no UTF-8 at all": b"\xff\xfe\xfd",
    "no UTF-8 in the kind": b'{"t":"\xff"}',
    "no UTF-8 in a field": b'{"t":"cancel","reason":"\xff","worker":"\xff","stream":"\xff","code":"\xff"}',
    "half a surrogate pair": b'{"t":"\\ud83d"}',
    "a number beyond every range": b'{"t":"checkpoint","attempt":' + b"9" * 5000 + b',"seq":1}',
    "not a number": b'{"t":"checkpoint","attempt":NaN,"seq":1}',
    "two messages": b'{"t":"cancel"}{"t":"cancel"}',
    "a byte order mark": b'\xef\xbb\xbf{"t":"cancel"}',
    "nothing": b"",
    "zeros": b"\x00" * 64,
}


@each_message
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bytes_are_never_a_message(kind, name):
    try:
        assert decoder(kind)(HOSTILE[name]) is None, "only a kind of another union or of a newer version is nothing"
    except MalformedMessageError:
        return
    assert has_kind(kind)
    assert HOSTILE[name].startswith(b'{"t":')


@pytest.mark.parametrize("data", [HOSTILE["no UTF-8 in a field"], b'{"t":"cancel","reason":' + DEEP])
def test_a_known_kind_with_hostile_fields_is_malformed(data):
    with pytest.raises(MalformedMessageError):
        decode_control(data)


SECRET = "my-secret-prompt"


@each_message
@given(data=st.data(), before=st.sampled_from(["", " - at `", "'", "`"]))
@examples(25)
def test_an_error_never_repeats_the_payload(kind, data, before):
    fields = msgspec.json.decode(encode(data.draw(any_message(kind))))
    for name in data.draw(st.lists(st.sampled_from(sorted({*fields, "extra"})), min_size=1, unique=True)):
        fields[name] = data.draw(st.sampled_from([before + SECRET, {SECRET: SECRET}, [before + SECRET]]))
    whole = msgspec.json.encode(fields)
    broken = data.draw(st.sampled_from([whole, whole[:-1], whole + b"\xff", whole.replace(b"prompt", b"prompt\xff")]))
    error = _read_or_malformed(decoder(kind), broken)
    assert error is None or SECRET not in _everything_logged(error)


def test_an_error_says_what_is_wrong_where_and_how_long_the_message_was():
    with pytest.raises(MalformedMessageError, match=r"^Invalid enum value - at `\$\.outcome` \(65 bytes\)$"):
        decode_event(b'{"t":"ended","attempt":1,"seq":1,"count":1,"outcome":"exploded!"}')
    with pytest.raises(MalformedMessageError, match=r"^Expected `int`, got `str` - at `\$\.seq` \(40 bytes\)$"):
        decode_event(b'{"t":"checkpoint","attempt":1,"seq":"2"}')


def test_an_empty_raw_field_is_left_out():
    request = Request("s", "chat", "id", 1, True, body=msgspec.Raw(b""), body_object="s.body")
    assert decode_request(encode(request)) == request
    assert encode(TokenGroup(0, [1], replay=msgspec.Raw(b""))) == b'{"choice":0,"tokens":[1]}'


def test_kinds_of_one_union_have_names_of_their_own():
    kinds = [(kind.__module__, kind.__struct_config__.tag) for kind in messages() if has_kind(kind)]
    assert len(kinds) == len(set(kinds)) == 10


def test_messages_cannot_be_changed_once_made():
    for sample in V1.values():
        field = sample.__struct_fields__[0]
        with pytest.raises(AttributeError):
            setattr(sample, field, getattr(sample, field))


def _read_or_malformed(decode, data):
    try:
        decode(data)
    except MalformedMessageError as error:
        return error
    return None


def _everything_logged(error):
    """What a traceback prints of an error: itself, and whatever it says that it comes from."""
    text = str(error)
    if error.__cause__ is not None:
        text += _everything_logged(error.__cause__)
    if error.__context__ is not None and not error.__suppress_context__:
        text += _everything_logged(error.__context__)
    return text


def _with_extra_fields(message, known, extra):
    """`known`, the JSON of `message`, with one more field in every object that is one of ours."""
    if isinstance(message, msgspec.Struct):
        fields = {name: _with_extra_fields(getattr(message, name, None), value, extra) for name, value in known.items()}
        return {"field_of_the_future": extra, **fields, "another": extra}
    if isinstance(message, list) and any(isinstance(item, msgspec.Struct) for item in message):
        return [_with_extra_fields(item, value, extra) for item, value in zip(message, known, strict=True)]
    return message if isinstance(message, msgspec.Raw) or _has_raw(message) else known


def _has_raw(value):
    return isinstance(value, list) and any(isinstance(item, msgspec.Raw) for item in value)

"""The bytes on the wire: what today's encoder writes, and what every version ever written still means."""

import typing

import msgspec
import pytest
from tailrace_protocol.wire import encode

from .golden import GOLDEN, path_of, write_missing
from .samples import MEANING, NEWEST, decoder, messages, structs

EVERY = [(version, name) for version, meaning in MEANING.items() for name in meaning]
FOLDERS = sorted(folder.name for folder in GOLDEN.iterdir())


@pytest.mark.parametrize("name", MEANING[NEWEST])
def test_todays_encoder_writes_the_newest_golden_bytes(name):
    assert encode(MEANING[NEWEST][name]) == path_of(NEWEST, name).read_bytes()


@pytest.mark.parametrize(("version", "name"), EVERY)
def test_bytes_of_every_version_are_still_understood(version, name):
    expected = MEANING[version][name]
    assert decoder(type(expected))(path_of(version, name).read_bytes()) == expected


def test_every_golden_file_has_a_meaning_that_is_tested():
    files = {(path.parent.name, path.stem) for path in GOLDEN.rglob("*") if path.is_file()}
    assert files == set(EVERY)
    assert sorted(MEANING) == FOLDERS


@pytest.mark.parametrize("kind", messages(), ids=lambda kind: kind.__name__)
def test_every_message_kind_has_a_golden_file(kind):
    assert any(type(sample) is kind for sample in MEANING[NEWEST].values()), (
        f"{kind.__name__} has no golden file: add a sample to tests/unit/protocol/samples.py, then run"
        f" `uv run python -m tests.unit.protocol.golden {NEWEST}`"
    )


FIELDS = [(struct, field) for struct in structs() for field in typing.get_type_hints(struct) if field != "v"]


@pytest.mark.parametrize(("struct", "field"), FIELDS, ids=lambda value: getattr(value, "__name__", value))
def test_every_field_is_in_a_golden_file(struct, field):
    named = {name for sample in MEANING[NEWEST].values() for name in _written_fields(sample) if name[0] is struct}
    assert (struct, field) in named, (
        f"no golden file shows {struct.__name__}.{field}: add a sample that sets it to tests/unit/protocol/samples.py,"
        f" then run `uv run python -m tests.unit.protocol.golden {NEWEST}`"
    )


def test_golden_files_are_one_line_of_json_without_a_version_one_mark():
    for path in (GOLDEN / "v1").iterdir():
        data = path.read_bytes()
        assert b"\n" not in data
        assert "v" not in msgspec.json.decode(data)


def test_the_newest_version_can_be_written_anew_and_is_never_overwritten(tmp_path):
    assert len(write_missing(NEWEST, tmp_path)) == len(MEANING[NEWEST])
    kept = path_of(NEWEST, "checkpoint", tmp_path)
    kept.write_bytes(b"what an old program wrote")
    assert write_missing(NEWEST, tmp_path) == []
    assert kept.read_bytes() == b"what an old program wrote"


@pytest.mark.parametrize("version", ["v0", "", "../v1"])
def test_only_the_newest_version_can_be_written(version, tmp_path):
    with pytest.raises(SystemExit, match="not the newest"):
        write_missing(version, tmp_path)
    assert list(tmp_path.iterdir()) == []


def _written_fields(value):
    """(struct, field) for everything that the encoding of `value` spells out."""
    if isinstance(value, msgspec.Struct):
        spelled = msgspec.json.decode(encode(value))
        for field in value.__struct_fields__:
            if field in spelled:
                yield type(value), field
            yield from _written_fields(getattr(value, field))
    elif isinstance(value, list):
        for item in value:
            yield from _written_fields(item)

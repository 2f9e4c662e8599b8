"""Wrong settings are refused with the field, the value and the remedy; right ones are not."""

import msgspec
import pytest
from tailrace_broker.settings_file import SettingsError
from tailrace_fetcher.settings import load_settings, wrong
from tailrace_fetcher.termination import leave_message
from tailrace_protocol.fetch import FetchSettings, HubSource, S3Source

GOOD = FetchSettings(namespace="prod", model="m", target="/models/x", source=HubSource(repo="a/b"))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"namespace": "Prod"}, "model namespace 'Prod'"),
        ({"model": "m.x"}, "model name 'm.x'"),
        ({"target": "models/x"}, "target is 'models/x'; it must be an absolute path"),
        ({"target": "/models"}, "below the volume's mount point"),
        ({"target": "/models/../etc"}, "target is"),
        ({"parallel": 0}, "parallel is 0; it must be from 1 to 32"),
        ({"parallel": 33}, "parallel is 33"),
        ({"give_up_s": 0.9}, "give_up_s is 0.9; it must be at least 1"),
        ({"give_up_s": float("nan")}, "give_up_s is nan"),
        ({"lock_lease_s": 0.9}, "lock_lease_s is 0.9"),
        ({"source": HubSource(repo="")}, "source.repo is empty"),
        ({"source": HubSource(repo="a", revision="")}, "source.revision is empty"),
        ({"source": S3Source(bucket="")}, "source.bucket is empty"),
    ],
)
def test_a_wrong_value_is_named_with_its_remedy(change, complaint):
    assert complaint in wrong(msgspec.structs.replace(GOOD, **change))


@pytest.mark.parametrize(
    "change",
    [{}, {"parallel": 1}, {"parallel": 32}, {"give_up_s": 1.0}, {"lock_lease_s": 1.0}, {"source": S3Source("b")}],
)
def test_right_values_up_to_the_limits_are_accepted(change):
    assert wrong(msgspec.structs.replace(GOOD, **change)) == ""


def test_a_settings_file_is_read(tmp_path):
    file = tmp_path / "fetch.json"
    file.write_bytes(msgspec.json.encode(GOOD))
    assert load_settings(file) == GOOD


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "wrong settings in .*fetch.json"),
        ('{"namespace": "n", "model": "m", "target": "/a/b", "source": {"kind": "git"}}', "kind"),
        (
            '{"namespace": "n", "model": "m", "target": "/a/b", "source": {"kind": "hf", "repo": ""}}',
            "source.repo is empty",
        ),
    ],
)
def test_a_wrong_settings_file_is_named(tmp_path, text, complaint):
    file = tmp_path / "fetch.json"
    file.write_text(text)
    with pytest.raises(SettingsError, match=complaint):
        load_settings(file)


def test_last_words_are_left_where_somebody_waits_for_them(tmp_path):
    file = tmp_path / "termination-log"
    file.write_text("something longer from before")
    leave_message(file, "disk_full", "the volume is too small")
    assert file.read_text() == "disk_full: the volume is too small"


def test_last_words_keep_to_what_kubernetes_keeps(tmp_path):
    file = tmp_path / "termination-log"
    file.touch()
    leave_message(file, "c", "ü" * 4096)
    assert 4090 < len(file.read_bytes()) <= 4096
    assert file.read_text().endswith("ü")


def test_no_file_is_made_for_last_words_that_nobody_reads(tmp_path):
    leave_message(tmp_path / "termination-log", "c", "s")
    assert not (tmp_path / "termination-log").exists()

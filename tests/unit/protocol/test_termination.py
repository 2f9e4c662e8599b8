"""What a container that gives up leaves behind can be read by whoever looks for the reason."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tailrace_protocol.termination import MAX_BYTES, TerminationCode, last_words, read_last_words


@given(st.sampled_from(TerminationCode), st.text(min_size=1, max_size=50).filter(str.strip))
def test_what_is_written_is_read(code, sentence):
    assert read_last_words(last_words(code, sentence)) == (code, " ".join(sentence.split()))


def test_a_code_of_a_newer_version_is_read_too():
    assert read_last_words("moon_phase: wait for the full moon\n") == ("moon_phase", "wait for the full moon")


@pytest.mark.parametrize("text", ["", "Traceback (most recent call last):", "Killed: 9", "engine_failed:", "a_code"])
def test_other_words_are_not_taken_for_ours(text):
    assert read_last_words(text) is None


@pytest.mark.parametrize(("length", "kept"), [(MAX_BYTES, MAX_BYTES), (MAX_BYTES + 1, MAX_BYTES)])
def test_no_more_is_written_than_the_kubelet_keeps(length, kept):
    words = last_words(TerminationCode.DISK_FULL, "x" * (length - len("disk_full: ")))
    assert len(words) == kept


def test_no_character_is_cut_in_two():
    words = last_words(TerminationCode.DISK_FULL, "\u6c34" * MAX_BYTES)
    assert len(words.encode()) <= MAX_BYTES
    assert "\ufffd" not in words


@pytest.mark.parametrize("code", TerminationCode)
def test_a_code_is_a_stable_name(code):
    assert code.value == code.name.lower()

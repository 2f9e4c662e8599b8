"""What one worker can carry with the latency that is wanted."""

from tailrace_operator.scaling.capacity import Batch, capacity, fit


def looks(batches, base_s=0.010, per_stream_s=0.0005):
    return [Batch(streams, base_s + per_stream_s * streams) for streams in batches]


def test_the_largest_batch_that_keeps_the_latency():
    seen = looks(range(1, 41))
    assert capacity(seen, inter_token_s=0.030, slots=64) == 40
    assert capacity(seen, inter_token_s=0.0299, slots=64) == 39


def test_it_is_told_beyond_what_was_seen_but_not_beyond_the_slots():
    seen = looks(range(1, 21))
    assert capacity(seen, inter_token_s=0.030, slots=64) == 40
    assert capacity(seen, inter_token_s=0.030, slots=32) == 32


def test_a_latency_that_not_even_one_stream_has_leaves_one():
    assert capacity(looks(range(1, 41)), inter_token_s=0.001, slots=64) == 1


def test_noise_around_the_line_moves_it_little():
    exact = looks(range(1, 61))
    noisy = [Batch(look.streams, look.inter_token_s * (1.1 if look.streams % 2 else 0.9)) for look in exact]
    assert 36 <= capacity(noisy, inter_token_s=0.030, slots=64) <= 44


def test_too_little_seen_leaves_the_slots():
    assert capacity(looks(range(1, 20)), inter_token_s=0.012, slots=64) == 64
    assert capacity(looks([8] * 50), inter_token_s=0.012, slots=64) == 64, "one size of batch draws no line"
    falling = looks(range(1, 41), base_s=0.1, per_stream_s=-0.0005)
    assert fit(tuple(falling)) is None
    assert capacity(falling, inter_token_s=0.012, slots=64) == 64

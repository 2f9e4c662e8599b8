"""What the HTTP client's troubles mean."""

import pytest
from tailrace_fetcher.failure import FailureCode, FetchError
from tailrace_fetcher.network import new_client


@pytest.mark.parametrize("content", [None, "", "no certificate\n"])
def test_missing_authorities_are_named_with_the_remedy(tmp_path, monkeypatch, content):
    bundle = tmp_path / "ca.crt"
    if content is not None:
        bundle.write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    with pytest.raises(FetchError) as refused:
        new_client(2)
    assert refused.value.code is FailureCode.SOURCE_UNREACHABLE
    assert f"no certificate authorities can be read from {bundle}" in refused.value.sentence
    assert "set SSL_CERT_FILE to a file that holds them" in refused.value.sentence

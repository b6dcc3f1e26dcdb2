"""An address that cannot be read is a few words: no dump of a library, and no password."""

from __future__ import annotations

import pytest

from pictograph import ConfigurationError
from pictograph.db.migrate import migrate
from pictograph.db.pool import Database
from pictograph.store.blobs import BlobStore, words_of


@pytest.mark.parametrize("url", ["s3://", "nonsense://u:pa55@x", "gs://"])
def test_a_blob_store_that_cannot_be_opened(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        BlobStore.open(url)
    message = str(caught.value)
    assert "Debug source" not in message
    assert "pa55" not in message
    assert message.count("\n") == 0


def test_what_a_library_adds_for_its_developers_is_left_out() -> None:
    dump = 'Generic S3 error: refused\n\nDebug source:\nGeneric {\n    store: "S3",\n}'
    assert words_of(Exception(dump)) == "Generic S3 error: refused"
    assert words_of(OSError(28, "No space left on device")) == "[Errno 28] No space left on device"


@pytest.mark.parametrize("address", ["nonsense pa55", "postgresql://u:pa55@["])
def test_a_database_whose_address_cannot_be_read(address: str) -> None:
    for use in (migrate, Database):
        with pytest.raises(ConfigurationError, match="postgresql://USER:PASSWORD@HOST") as caught:
            use(address)  # type: ignore[operator]
        assert "pa55" not in str(caught.value)

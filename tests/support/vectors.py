"""Files and requests full of vectors."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
import pyarrow as pa

from pictograph.encode.noop import SPEC
from pictograph.types import DIMENSION
from pictograph.wire.vectors import ARROW_STREAM, FINGERPRINT
from support.planting import direction

ENCODER = f"{SPEC.name}@{SPEC.revision}"
"""What the tests' service must be told."""


def vector_table(cosines: Sequence[float], *, encoder: str | None = ENCODER, **columns: Any) -> Any:
    """A row for each cosine to `direction(1.0)`, named after it (`0.9.jpg`). columns: added; None takes one away."""
    vectors = np.stack([direction(cosine) for cosine in cosines]).astype(np.float16)
    made: dict[str, Any] = {
        "filename": [f"{cosine}.jpg" for cosine in cosines],
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), DIMENSION),
    } | columns
    table = pa.table({name: column for name, column in made.items() if column is not None})
    return table.replace_schema_metadata({FINGERPRINT: encoder.encode()} if encoder else None)


def stream_of(table: Any, **options: Any) -> bytes:
    """The table as the body of a request."""
    sink = BytesIO()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return sink.getvalue()


def sent(table: Any, **parameters: Any) -> dict[str, Any]:
    """Options of a raw request that imports the table."""
    return {
        "content": stream_of(table),
        "headers": {"Content-Type": ARROW_STREAM},
        "params": {"encoder": ENCODER} | parameters,
    }

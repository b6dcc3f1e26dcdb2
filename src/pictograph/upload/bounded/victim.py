"""Who goes first where memory runs out on the machine."""

from __future__ import annotations

import contextlib
import resource
from pathlib import Path
from typing import Final

VICTIM_SCORE: Final = 600
"""The kernel takes such a process before a database."""


def be_first_to_go() -> None:
    """This process, for it can be started again and holds nothing that is kept; and it leaves no core file."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(VICTIM_SCORE))

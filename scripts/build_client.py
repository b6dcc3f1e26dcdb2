"""Makes the blocking client of the asyncio one: `python scripts/build_client.py`, after every change of that.

With `--check`, only says whether it would be another than it is.

src/pictograph/client/asynchronous.py is written by hand, synchronous.py is not. unasync takes `async` and `await` away
and gives names their plain twins; how either client waits is in tasks.py and threads.py, function by function.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import unasync

CLIENT = Path(__file__).resolve().parents[1] / "src" / "pictograph" / "client"
SOURCE, MADE = CLIENT / "asynchronous.py", CLIENT / "synchronous.py"
HEADER = '"""The blocking client. Made by scripts/build_client.py: change asynchronous.py, then run that script."""'
NAMES = {"aclosing": "closing", "tasks": "threads", "aiter_bytes": "iter_bytes", "aread": "read"}
PHRASES = (
    ("async with", "with"),
    ("async for", "for"),
    ("await ", ""),
    ("AsyncClient", "Client"),
    (", for asyncio", ""),
    ("pictograph-python-async", "pictograph-python"),
)
"""What unasync leaves alone: words in texts."""


def made() -> str:
    """The blocking client, from the asyncio one as it is now."""
    source = SOURCE.read_text()
    names = NAMES | {name: name.removeprefix("Async") for name in re.findall(r"\bAsync[A-Z]\w*", source)}
    with TemporaryDirectory() as folder:
        given, found = Path(folder, "given", MADE.name), Path(folder, "found", MADE.name)
        given.parent.mkdir()
        given.write_text(source)
        unasync.unasync_files([str(given)], [unasync.Rule(str(given.parent), str(found.parent), names)])
        text = found.read_text()
    for asynchronous, plain in PHRASES:
        text = text.replace(asynchronous, plain)
    return formatted(re.sub(r'^"""[^"]*"""', HEADER, text, count=1))


def formatted(text: str) -> str:
    """As `make check` wants it."""
    for step in (["check", "--select", "I,UP028", "--fix", "--unsafe-fixes"], ["format"]):
        ruff = [sys.executable, "-m", "ruff", *step, "--quiet", "--stdin-filename", str(MADE), "-"]
        text = subprocess.run(ruff, input=text, capture_output=True, text=True, check=True).stdout
    return text


if __name__ == "__main__":
    if "--check" not in sys.argv:
        MADE.write_text(made())
    elif MADE.read_text() != made():
        sys.exit(f"{MADE.name} is not what {SOURCE.name} makes. Run: python scripts/build_client.py")

"""What works although another distribution brings a package `pictograph` too: whose it is, and what to type.

On PyPI the name `pictograph` is that of another product. Ours is the distribution `pictograph-search`; it brings the
package `pictograph`, which its users import, and this one, which nothing else overwrites. Standard library only.
"""

from __future__ import annotations

import functools
import json
import os
import re
import shlex
import shutil
import sys
import warnings
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

DISTRIBUTION: Final = "pictograph-search"
NAMESAKE: Final = "pictograph"
OUR_SUMMARY: Final = "Image search for vision datasets"
"""In the description of this distribution, also of versions that still had the other name."""
MARK: Final = f'__distribution__ = "{DISTRIBUTION}"'
"""Stands in the package `pictograph` if it is ours."""


class NamesakeWarning(UserWarning):
    """The distribution `pictograph`, another product, is installed in the same environment."""


def warn_of_namesake() -> None:
    """Warns, in one line, if the other product is installed in this environment."""
    if line := namesake_beside():
        warnings.warn(line, NamesakeWarning, stacklevel=3)


def namesake_beside() -> str | None:
    """One line that says so if the other product is installed in this environment; None if not."""
    theirs = other_product()
    if theirs is None:
        return None
    return (
        f'The distribution "{NAMESAKE}" {theirs.version} (another product) is installed in this environment too, and '
        f"each overwrites files of the other: {way_out()}"
    )


def hidden_by_namesake() -> str | None:
    """One line that says so if `import pictograph` would not give our package; None if it does."""
    spec = find_spec("pictograph")
    if spec is None or spec.origin is None:
        return f"{DISTRIBUTION} is damaged: its package `pictograph` is gone. Install it again: {install_command()}"
    if MARK in Path(spec.origin).read_text(encoding="utf-8"):
        return None
    return (
        f'The package `pictograph` in {Path(spec.origin).parent} is that of the distribution "{NAMESAKE}" (another '
        f"product), not of {DISTRIBUTION}: {way_out()}"
    )


def way_out() -> str:
    return f"repair it with {pip()} uninstall {NAMESAKE}, then {install_command('server')} --force-reinstall --no-deps"


def other_product() -> Distribution | None:
    """The distribution of that name, unless it is ours from before it had a name of its own."""
    for found in distributions(name=NAMESAKE):
        if OUR_SUMMARY not in (found.read_text("METADATA") or ""):
            return found
    return None


def install_command(extra: str = "") -> str:
    """The command that installs this once more, with what an extra needs: from where it came from."""
    extras = f"[{extra}]" if extra else ""
    try:
        ours = distribution(DISTRIBUTION)
    except PackageNotFoundError:
        checkout = Path(__file__).parents[2]
        if (checkout / "pyproject.toml").exists():
            return f"{pip()} install --editable {quoted(f'{checkout}{extras}')}"
        return f"{pip()} install {quoted(f'{DISTRIBUTION}{extras}')}"
    return f"{pip()} install {requirement(ours, extras)}"


def requirement(ours: Distribution, extras: str) -> str:
    """What to name to pip, from its own record of what it was told (packaging.python.org, direct_url.json)."""
    record: dict[str, Any] = json.loads(ours.read_text("direct_url.json") or "{}")
    url = record.get("url", "")
    if vcs := record.get("vcs_info"):
        revision = vcs.get("requested_revision") or vcs.get("commit_id", "")
        # pip before 24.1 takes no such address without a host
        url = re.sub("^file:///", "file://localhost/", url)
        return quoted(f"{DISTRIBUTION}{extras} @ {vcs['vcs']}+{url}@{revision}")
    if url.startswith("file:"):
        path = unquote(urlsplit(url).path)
        editable = record.get("dir_info", {}).get("editable", False)
        return f"{'--editable ' if editable else ''}{quoted(f'{path}{extras}')}"
    return quoted(f"{DISTRIBUTION}{extras} @ {url}" if url else f"{DISTRIBUTION}{extras}")


def pip() -> str:
    """pip of this environment, whichever is active in the shell."""
    return f"{quoted(sys.executable)} -m pip"


@functools.cache
def command_name() -> str:
    """What a person types to start this environment's command: its path, where the shell would not find it."""
    own = Path(sys.executable).with_name("pictograph")
    found = shutil.which("pictograph")
    if not own.exists():
        return "pictograph" if found else f"{quoted(sys.executable)} -m pictograph"
    if found and os.path.samefile(found, own):
        return "pictograph"
    return quoted(str(own.relative_to(Path.cwd()) if own.is_relative_to(Path.cwd()) else own))


def quoted(text: str) -> str:
    """The text as one word of a shell's command line."""
    if re.fullmatch(r"[\w@%+=:,./\\-]+", text):
        return text
    return shlex.quote(text) if set(text) & set('"$`\\!') else f'"{text}"'

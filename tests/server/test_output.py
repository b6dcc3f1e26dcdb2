"""The command in pipes, full disks and other encodings: real processes, real descriptors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pictograph import Client
from pictograph.types import OrganizationId
from support.pictures import picture_bytes
from support.services import Service

NAME = "été 🚗.jpg"
Run = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture
def run(service: Service, organization: OrganizationId, client: Client, tmp_path: Path) -> Run:
    """Runs the command in a shell line, where `pictograph` is this one."""
    client.datasets.create("street")
    client.images.upload("street", picture_bytes(1), filename=NAME)

    def execute(line: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
        known = {
            "PICTOGRAPH_API_KEY": service.key(organization),
            "PICTOGRAPH_BASE_URL": service.address,
            "PICTOGRAPH_HOME": str(tmp_path / "home"),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": ":".join(sys.path),
        }
        script = f'pictograph() {{ "{sys.executable}" -m pictograph "$@"; }}\nset -o pipefail\n{line}'
        done = subprocess.run(
            ["bash", "-c", script], env=known | environment, capture_output=True, check=False, timeout=100, cwd=tmp_path
        )
        assert b"Traceback" not in done.stderr
        assert b"Exception ignored" not in done.stderr
        return done

    return execute


ASCII_ALONE = pytest.param(
    {"PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "LC_ALL": "C"},
    marks=pytest.mark.skipif(
        not (sys.prefix + __file__).isascii(), reason="Python itself reads no path file of this installation"
    ),
)


@pytest.mark.parametrize("encoding", [{"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1"}, ASCII_ALONE])
def test_names_that_the_encoding_cannot_write_are_escaped_and_json_stays_whole(
    run: Run, encoding: dict[str, str]
) -> None:
    table, answer = (
        run("pictograph images list street", **encoding),
        run("pictograph images list street --json", **encoding),
    )
    assert (table.returncode, answer.returncode) == (0, 0)
    assert b"\\U0001f697.jpg" in table.stdout
    assert NAME.encode("ascii", "backslashreplace") in table.stdout or NAME[:3].encode("latin-1") in table.stdout
    body = json.loads(answer.stdout.decode("ascii"))
    assert NAME in json.dumps(body, ensure_ascii=False)


@pytest.mark.parametrize("line", ["datasets list", "tags list --json", "--help"])
def test_a_reader_that_went_away_ends_the_command_quietly_with_exit_code_141(run: Run, line: str) -> None:
    gone = "import os, sys; r, w = os.pipe(); os.close(r); os.dup2(w, 1); os.execv(sys.executable, sys.argv)"
    done = run(f'"{sys.executable}" -c "{gone}" -m pictograph {line}')
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
@pytest.mark.parametrize("line", ["pictograph datasets list", "pictograph tags list --json", "pictograph --help"])
def test_a_full_disk_behind_standard_output_is_one_line_and_exit_code_1(run: Run, line: str) -> None:
    done = run(f"{line} > /dev/full")
    assert done.returncode == 1
    assert done.stderr.count(b"\n") == 1
    assert b"No space left on device" in done.stderr


def test_closed_and_full_streams_change_no_exit_code(run: Run) -> None:
    assert run("pictograph datasets list >&-").returncode == 0
    assert run("pictograph datasets get nowhere 2>&-").returncode == 4
    assert run("pictograph datasets list <&- >&- 2>&-").returncode == 0


def test_a_narrow_or_dumb_terminal_and_a_deleted_folder_do_not_matter(run: Run) -> None:
    assert b"street" in run("pictograph datasets list", COLUMNS="1", TERM="dumb").stdout
    done = run('mkdir gone && cd gone && rmdir "$OLDPWD/gone" && pictograph datasets list && pictograph upload . -d x')
    assert done.returncode == 6
    assert b"street" in done.stdout
    assert done.stderr.count(b"\n") == 1

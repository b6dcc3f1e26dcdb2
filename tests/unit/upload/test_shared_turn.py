"""Of all processes that name one file, one has a picture read at a time."""

from __future__ import annotations

import fcntl
import threading
from pathlib import Path

import pytest

from pictograph.errors import Unavailable
from pictograph.upload.bounded.pool import PictureReaders
from pictograph.upload.bounded.wanted import DecodeBudget, Wanted
from pictograph.upload.limits import PictureLimits
from support.pictures import picture_bytes


def readers(turn: Path) -> PictureReaders:
    return PictureReaders(PictureLimits(), DecodeBudget(), processes=1, shared_turn=turn)


def test_a_picture_waits_while_another_process_reads_one(tmp_path: Path) -> None:
    turn = tmp_path / "turn"
    read = threading.Event()
    with readers(turn) as pool, turn.open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)

        def look() -> None:
            pool.read(picture_bytes(1), Wanted(thumbnails_px=(64,)))
            read.set()

        thread = threading.Thread(target=look)
        thread.start()
        assert not read.wait(0.3)
        fcntl.flock(other, fcntl.LOCK_UN)
        assert read.wait(60)
        thread.join()


def test_who_waits_for_its_turn_is_let_go_when_the_service_ends(tmp_path: Path) -> None:
    turn = tmp_path / "turn"
    pool = readers(turn)
    with turn.open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        closing = threading.Timer(0.1, pool.close)
        closing.start()
        with pytest.raises(Unavailable):
            pool.read(picture_bytes(1), Wanted(thumbnails_px=(64,)))
        closing.join()

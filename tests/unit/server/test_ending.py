"""A process that is asked to stop twice, by a signal and by its parent's end, stops once and says nothing."""

from __future__ import annotations

import os
import signal

import pytest

from pictograph.server.run import end_at_sigterm


def test_the_second_signal_is_ignored() -> None:
    before = signal.getsignal(signal.SIGTERM)
    try:
        end_at_sigterm()
        with pytest.raises(SystemExit):
            os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)  # would be the fault of the program that its command reports
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)

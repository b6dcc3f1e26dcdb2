"""Holds an embedded PostgreSQL as the service does, without the service: quick to start, killed by the tests."""

import logging
import signal
import sys
from pathlib import Path

from pictograph.db.embedded import EmbeddedPostgres
from pictograph.errors import ConfigurationError

logging.basicConfig(level="INFO")
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda *_: sys.exit(0))
try:
    server = EmbeddedPostgres.start(Path(sys.argv[1]))
except ConfigurationError as error:
    sys.exit(str(error))
sys.stdout.write("ready\n")
sys.stdout.flush()
try:
    signal.pause()
finally:
    server.stop()

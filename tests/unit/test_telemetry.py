"""Log lines: one for each event, with date, level and request, as text or JSON."""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime

from pictograph.telemetry import JsonLine, TextLine, request_id


def record(message: str, *, failed: bool = False) -> logging.LogRecord:
    error = None
    if failed:
        try:
            raise ValueError("the cause")
        except ValueError:
            error = sys.exc_info()
    return logging.LogRecord("pictograph.x", logging.WARNING, __file__, 1, message, (), error)


def test_a_text_line_has_date_level_role_and_request_and_nothing_breaks_it() -> None:
    token = request_id.set("abc123")
    try:
        line = TextLine("server").format(record("a\nfake line\x1b[31m \u202e", failed=True))
    finally:
        request_id.reset(token)
    first, *story = line.splitlines()
    when, level, role, marked, rest = first.split(maxsplit=4)
    assert datetime.fromisoformat(when).tzinfo is not None
    assert (level, role, marked) == ("WARNING", "server", "[abc123]")
    assert rest == "a\\nfake line\\x1b[31m \\u202e"
    assert story[-1] == "ValueError: the cause"
    assert "[" not in TextLine("worker").format(record("x"))


def test_a_json_line_is_one_object_with_the_same_and_what_the_record_adds() -> None:
    made = record("a\nb", failed=True)
    made.facts, made.request_id = {"status": 200}, "given"
    line = JsonLine("worker").format(made)
    assert "\n" not in line
    facts = json.loads(line)
    assert (facts["level"], facts["role"], facts["message"], facts["status"]) == ("warning", "worker", "a\nb", 200)
    assert facts["request_id"] == "given"
    assert "ValueError: the cause" in facts["traceback"]

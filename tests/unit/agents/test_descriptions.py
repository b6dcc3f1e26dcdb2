"""What the tools' descriptions cost a model before it has asked anything."""

from __future__ import annotations

import json

import pytest
from mcp.server import MCPServer
from mcp.server.mcpserver import Context

from pictograph.agents.server import INSTRUCTIONS, make_server
from pictograph.agents.texts import tokens_of
from pictograph.agents.tools import Session

MOST_TOKENS = 3_000
MOST_TOOLS = 10


async def nobody(_: Context) -> Session:
    raise AssertionError("nothing is asked here")


@pytest.fixture
def server() -> MCPServer:
    return make_server(nobody, allow_write=True, local_files=True)


async def test_all_descriptions_cost_less_than_3000_tokens(server: MCPServer) -> None:
    """Counted as `tokens_of` does, in the JSON that clients get: one for four bytes, and one for each digit."""
    tools = await server.list_tools()
    models = [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools]
    described = [json.dumps(model, separators=(",", ":")) for model in models]
    assert len(tools) <= MOST_TOOLS
    assert sum(tokens_of(text) for text in [INSTRUCTIONS, *described]) < MOST_TOKENS


async def test_no_tool_has_structured_output_which_would_hide_its_picture(server: MCPServer) -> None:
    for tool in await server.list_tools():
        assert tool.output_schema is None, tool.name
        assert tool.description, tool.name
        assert tool.annotations is not None
        assert tool.annotations.read_only_hint is (tool.name != "upload"), tool.name


async def test_without_leave_to_write_no_tool_writes() -> None:
    tools = await make_server(nobody, allow_write=False, local_files=True).list_tools()
    assert [tool.name for tool in tools] == [
        "datasets", "facets", "search", "contact_sheet", "get_image", "near_duplicates",
    ]  # fmt: skip

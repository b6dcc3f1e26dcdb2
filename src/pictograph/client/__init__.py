"""Journey, step 8: the SDK. Imports only wire models, errors, types and the local config: nothing heavy."""

from pictograph.client import grid as grid  # what makes answers show themselves in notebooks
from pictograph.client.asynchronous import AsyncClient
from pictograph.client.examples import Example
from pictograph.client.results import ExportReport, ImportReport, ListPage, SearchResults, TaggedResults
from pictograph.client.synchronous import Client
from pictograph_search import warn_of_namesake

__all__ = [
    "AsyncClient",
    "Client",
    "Example",
    "ExportReport",
    "ImportReport",
    "ListPage",
    "SearchResults",
    "TaggedResults",
]

warn_of_namesake()

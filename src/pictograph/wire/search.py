"""Found images, and what a search says of itself."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar, Literal

from pydantic import Field, FiniteFloat

from pictograph.types import DIMENSION, MAX_ENCODER, MAX_ID_SENT, MAX_QUERY_BYTES, MAX_TEXT, MAX_WEIGHT, TagMatch
from pictograph.wire import compat
from pictograph.wire.base import Body, Pagination, Pictured, TagObject, Wire


class SearchRow(compat.RowNames, Pictured):
    """One found image."""

    brief: ClassVar[tuple[str, ...]] = ("image_id", "filename", "folder_path", "tags")

    image_id: str
    """UUID of the image."""
    filename: str
    """Its name within its folder."""
    folder_path: str
    """`/`, or `/a/b`."""
    dataset_id: str
    """UUID of the dataset it is in."""
    tags: TagObject
    """Its automatic tags, best first: `{"objects": ["car"], "scenes": [], "attributes": []}`."""
    thumbnail_url: str
    """Address of a picture of it of at most 320 px a side; needs no key, and works for 12 to 24 hours."""
    image_url: str
    """Address of its file, likewise."""


class SimilarImage(SearchRow):
    """One image that looks like the reference, or shows what the words say."""

    brief: ClassVar[tuple[str, ...]] = ("similarity", "image_id", "filename", "folder_path", "tags")

    similarity: Annotated[float, Field(ge=0, le=1)]
    """Cosine of the two embeddings, 0 to 1. Between pictures, about 0.6 and above is visually related; in a dataset of
    one kind of picture nearly all pairs are. Between words and a picture the scale is another one, and lower: compare
    such rows with each other only."""
    percentile: Annotated[float, Field(ge=0, le=100)] | None = None
    """Of 100 random pairs of the scope, how many are less similar; null unless the question says `percentiles`."""


class TaggedImage(SearchRow):
    """One image that carries the tags."""


class OfTags(Wire):
    """What an answer says about the tags in its question, and about what its filter asks for besides."""

    unknown_tags: list[str] = []
    """Tags in the question that are not in the taxonomy: no image can carry them."""
    unjudged_tags: list[str] = []
    """Tags in the question that the running encoder cannot judge, and that no image found carries."""
    nearest_tags: dict[str, list[str]] = {}
    """For some of both, similar tags that the encoder can judge: `{"nighttime": ["attributes/dark"]}`."""
    undecided: int = 0
    """Images of the place that the filter could not judge, since a fact that it asks for is not known of them."""
    undecided_waiting: int = 0
    """Of those, the images at whose picture nobody has looked yet: their facts come, and the answer may change."""


class ScoreScale(Wire):
    """The scores of random pairs of a scope: of two of its pictures, or of an ordinary word and one of its pictures."""

    pictures: int
    """Pictures whose vectors were compared, at random."""
    scope_size: int
    """Pictures that the scope had then."""
    pairs: int
    """Random pairs whose scores these are."""
    sampled_at: datetime
    """At most ten minutes ago; sooner, if the scope has changed by a twentieth since."""
    median: float
    """The score that half of the random pairs reach."""
    rare: float
    """The score that one random pair in a hundred reaches."""
    threshold_percentile: Annotated[float, Field(ge=0, le=100)]
    """Of 100 random pairs, how many are below this answer's threshold."""
    auto_threshold: float | None
    """What `threshold=auto` would be between pictures; of words it is their own: see `fits_from`."""


class Relevance(Wire):
    """What an answer says of its scores."""

    best: float | None
    """The best score of all, also if it does not reach the threshold; null on later pages, and if there was none."""
    just_below: int | None
    """Images that miss the threshold narrowly, down to `just_below_from`; null if rows on other pages reach it."""
    just_below_is: Literal["exact", "at_least"]
    """`at_least`: not all images below the threshold were looked at."""
    just_below_from: float
    """The threshold less 0.05 between pictures, less 0.02 of words; 0 at least."""
    auto: Literal["words", "gap", "rare", "too_few_pictures"] | None
    """Where `threshold=auto` came from; null if the threshold was given. `words`: see `fits_from`. `gap`: the pairs of
    the scope fall into two heaps, and it lies between. `rare`: one random pair in a hundred reaches it.
    `too_few_pictures`: there are too few to say, so it is the default."""
    fits_from: float | None
    """Of words: the score from which an image shows what they say; null between pictures, or if that is not known."""
    nothing_fits: bool | None
    """Of words: whether no image shows what they say, whatever the rows; null if that is not known."""
    nothing_fits_because: Literal["unknown_words", "not_here"] | None
    """`unknown_words`: the encoder knows nothing that they name. `not_here`: it may, but no image that was considered
    shows it."""
    scale: ScoreScale | None = None
    """Null unless the question says `percentiles`, or if there are too few pictures."""


class SearchFacts(OfTags):
    """How an answer was found, and whether it is exact and complete."""

    plan: str
    """`exact`: every vector was compared. `quantized`: every code was, then the best by their vectors."""
    plan_reason: str
    """Why that plan, for people; says so if there is no index."""
    scope_size: int
    """Findable images in the scope, the reference too if it lies there."""
    scanned: int
    """Images whose vector or code was compared; tags ruled the others out."""
    exact: bool
    """True if the rows are the true nearest. False: the quantized index named them, and it may miss some."""
    complete: bool
    """True if every image of the scope was considered: by its vector, its code or its tags. Both plans do that."""
    took_ms: float
    """Milliseconds in the service, from the question to the rows; HTTP is not in it."""
    pagination: Pagination
    """Where the page is in the list. `total` is given if this page has every row; else the rows are not counted."""
    relevance: Relevance | None = None
    """What the scores are worth."""


class TextAnswer(SearchFacts):
    """Answer of `GET /search/by-text`."""

    results: list[SimilarImage]
    """By falling similarity to the words; ties by image id."""
    count: int
    """Rows of this page."""
    text: str
    """The words of the question."""
    threshold: float
    """The lowest score of a row; of `auto`, what it has become."""


class PictureAnswer(SearchFacts):
    """Answer of `POST /search/by-image`."""

    results: list[SimilarImage]
    """By falling similarity to the picture; ties by image id."""
    count: int
    """Rows of this page."""
    threshold: float
    """The lowest similarity that a row could have."""


class SimilarAnswer(SearchFacts):
    """Answer of `GET /search/similar`."""

    results: list[SimilarImage]
    """By falling similarity; ties by image id. The reference is never among them."""
    count: int
    """Rows of this page."""
    threshold: float
    """The lowest score of a row; of `auto`, what it has become."""
    query_image_id: str
    """UUID of the reference."""
    folder_path: str
    """The scope that was searched: this folder and everything below it."""


class Box(Body):
    """A part of a picture; its origin is the top left corner of the upright picture, as a person sees it."""

    x: FiniteFloat
    """Its left edge."""
    y: FiniteFloat
    """Its upper edge."""
    width: FiniteFloat
    """How far it reaches to the right, above 0."""
    height: FiniteFloat
    """How far it reaches down, above 0."""
    unit: Literal["px", "fraction"] = "px"
    """Pixels of the file, or fractions: each side of the picture is 1."""


class Example(Body):
    """One thing that images should be like, or unlike: exactly one of `image_id`, `text`, `vector` and `image`."""

    image_id: Annotated[str, Field(max_length=MAX_ID_SENT)] | None = None
    """UUID of an indexed image. It is never among the rows."""
    text: Annotated[str, Field(max_length=MAX_TEXT)] | None = None
    """Words that say what images show."""
    vector: Annotated[list[FiniteFloat], Field(max_length=DIMENSION)] | None = None
    """A vector of this library's encoder, of any length but 0."""
    encoder: Annotated[str, Field(max_length=MAX_ENCODER)] | None = None
    """With a vector: the fingerprint of the encoder that made it, as `/health` and exported files have it."""
    image: Annotated[str, Field(max_length=MAX_QUERY_BYTES)] | None = None
    """The file of a picture that is not stored, in base64. It is encoded like an upload, and never kept."""
    box: Box | None = None
    """With `image_id` or `image`: only this part of the picture counts."""
    weight: Annotated[float, Field(gt=0, le=MAX_WEIGHT, allow_inf_nan=False)] = 1.0
    """Among positive examples, its share of the score; of a negative one, its force."""
    negative: bool = False
    """Whether images should be unlike it."""


class UsedExample(Wire):
    """An example as it was understood."""

    kind: Literal["image", "text", "vector", "picture"]
    """What it is given by: an indexed image, words, a vector, or a picture that is not stored."""
    image_id: str | None = None
    """UUID of the indexed image; None of another kind."""
    text: str | None = None
    """The words; None of another kind."""
    box: Box | None = None
    """The part of the picture that counts; None: all of it."""
    weight: float
    """Among positive examples, its share of the score; of a negative one, its force."""
    negative: bool
    """Whether rows should be unlike it."""


class QueryRow(SearchRow):
    """One image that a query found."""

    brief: ClassVar[tuple[str, ...]] = ("score", "similarity", "order_value", "image_id", "filename", "folder_path")

    score: float | None
    """With one example its similarity; with several what the answer's `formula` gives. None without examples."""
    similarity: float | None
    """To the example, or to the nearest of several positive ones, 0 to 1. None without examples."""
    percentile: Annotated[float, Field(ge=0, le=100)] | None = None
    """Of 100 random pairs of the scope, how many are less similar; null unless the question says `percentiles`, and
    where some of several examples are words."""
    order_value: int | float | str | None
    """The fact that orders the rows; a time is ISO 8601. None by relevance, and where the fact is not known."""


class QueryAnswer(SearchFacts):
    """Answer of `POST /search/query`."""

    results: list[QueryRow]
    """In the order that was asked for; ties by image id."""
    count: int
    """Rows of this page."""
    examples: list[UsedExample]
    """The examples of the question, in its order."""
    formula: str | None
    """What `score` is, for people. None without examples."""
    order_by: str
    """`relevance`, or the fact that orders the rows."""
    descending: bool
    """Whether the best, newest or largest come first."""
    threshold: float | None
    """The least score of a row; None: nothing was cut."""
    top: int | None
    """Rows that relevance kept at most; None: all."""
    folder_path: str
    """The scope: this folder, with everything below it unless `recursive` was false."""
    unknown_values: int
    """Of all rows, those of which the fact that orders them is not known yet: they come last."""
    cut_off: bool
    """Whether more images passed the threshold than a fact can put in order: the best 10,000 are in it."""


class TriedPlan(Wire):
    """One way to answer a question, carried out."""

    plan: str
    """`exact` or `quantized`."""
    took_ms: float
    """What it took, the count of the scope and the vector not included."""
    steps: dict[str, float]
    """Milliseconds of each step, in order. Rows are fetched within `scan` and `rerank`."""
    rows: int
    """Rows that it found."""
    scanned: int
    """Images whose vector or code was compared."""
    complete: bool
    """Whether every image of the scope was considered."""
    recall: float
    """Share of the rows of the exact answer that it found; 1 for the exact scan itself."""
    fell_back: str | None
    """Why it ended as an exact scan, if it did."""


class SearchExplanation(OfTags):
    """Answer of `GET /search/explain`: the decision, and what every way to answer gives."""

    plan: str
    """The way that this search takes."""
    plan_reason: str
    """Why that way, for people."""
    scope_size: int
    """Findable images in the scope."""
    folder_path: str
    """The scope: this folder and everything below it."""
    preparation: dict[str, float]
    """Milliseconds of what comes before any plan: `reference`, or `words` and `datasets`."""
    tried: list[TriedPlan]
    """Every way that is open, `exact` first."""


class TagFilters(Wire):
    """The filters of a tag search."""

    objects: list[str] | None = None
    """Tags: what is to be seen."""
    scenes: list[str] | None = None
    """Tags: where, and under which circumstances."""
    attributes: list[str] | None = None
    """Tags: what kind of picture it is."""
    dataset_name: str | None = None
    """The only dataset; None: all of the organization, or `dataset_names`."""
    dataset_names: list[str] | None = None
    """The only datasets."""
    folder_path: str | None = None
    """The only folder."""
    recursive: bool = True
    """Whether the folders below it are meant, too."""
    match: TagMatch = "any"
    """How tags inside one category combine."""


class TagAnswer(OfTags):
    """Answer of `GET /search/by-tags`."""

    results: list[TaggedImage]
    """Newest first; ties by image id."""
    count: int
    """Rows of this page."""
    filters: TagFilters
    """The question, as it was understood."""
    pagination: Pagination
    """Where the page lies, and how many images carry the tags in all."""


class TagCount(Wire):
    """A tag, and how many images carry it."""

    label: str
    """Its name within its category."""
    count: int
    """Images that carry it, archived ones not counted."""


class TagCounts(OfTags):
    """Answer of `GET /search/tags`: each category's tags, the most frequent first, then by name."""

    objects: list[TagCount]
    """Things that are seen."""
    scenes: list[TagCount]
    """Where, and under which circumstances."""
    attributes: list[TagCount]
    """What kind of picture it is."""
    images: int
    """Images that were counted, with tags or without: all of the scope, or those with the tags in the question."""

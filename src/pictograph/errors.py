"""Every error, drawn once. The worker reads `retryable`, the server `status` and `code`, the SDK raises these classes.

PictographError
├── ConfigurationError              before any request: no key, no server, a bad setting
├── ApiError                        an answer that is not a success
│   ├── AuthError             401
│   ├── ForbiddenError        403
│   │   ├── BadSignature            the signature does not fit this URL of a picture
│   │   └── UrlExpired              its time, or that of the key that asked for it, is over
│   ├── NotFoundError         404
│   ├── MethodNotAllowed      405   the path is there, but takes other methods
│   ├── SlowSender            408   the body of a request did not come
│   ├── ConflictError         409   the name is taken
│   │   ├── EmbeddingFailed         the reference image could not be embedded
│   │   ├── NoBytes                 the image was imported as a vector; its picture is not here
│   │   ├── IdempotencyConflict     this Idempotency-Key came with another request
│   │   └── SpaceMismatch           two models' vectors would be compared
│   ├── ValidationError       422   (and 400) a value is wrong; the message names it and the fix
│   │   ├── BadImage                these bytes are not a picture we can read
│   │   │   └── TooCostly           decoding them takes more memory or time than one picture may
│   │   ├── UnsupportedFormat 415
│   │   ├── RangeNotSatisfiable 416 the range of bytes begins behind the end of the file
│   │   └── TooLarge          413   bytes or pixels above the limit
│   │       └── HeadTooLarge  431   headers, or (414) the address of a request above the limit
│   ├── WrongHost             421   asked by a name that is not the service's
│   ├── RateLimitError        429   carries `retry_after_s`
│   │   └── StillRunning           the first request with this Idempotency-Key is not answered yet
│   └── ServerError           5xx
│       ├── NotSupported      501   other services of this protocol have it, this one has not
│       ├── EmbeddingPending  503   the reference image is still in the queue
│       ├── StorageFull       507   a disk has no room left: that of the files or of the database
│       └── Unavailable       503   the database or the blob store cannot be reached
│           ├── BlobMissing         a row names bytes that the blob store does not have
│           ├── DatabaseAway        it cannot be reached, or the connection broke
│           ├── DatabaseStopping    it is shutting down, starting or recovering
│           ├── DatabaseRefused     it answers, but not to us: password, name, right
│           ├── DatabaseIncomplete  pgvector is missing there
│           ├── DatabaseBusy        it has no connection or resource left for us
│           ├── DatabaseOutOfMemory its memory ended
│           ├── DatabaseReadOnly    it takes no writes
│           ├── DatabaseDamaged     its files or its disk fail
│           ├── LockTimeout         a lock was not given in time
│           ├── StatementTimeout    a statement took too long, or was cancelled
│           └── WriteConflict       other writers were in the way, again and again
├── ConnectionFailed                the server could not be reached, or did not answer in time
├── ModelDamaged                    a model's file, or a bundle, is not what its manifest says
└── WorkerLost                      the worker ended again and again while it processed an image
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar


class PictographError(Exception):
    """Anything that went wrong here; the message says what and what to do."""

    code: ClassVar[str] = "error"
    """Stable word to test for; the text may change, this does not."""
    retryable: ClassVar[bool] = False
    """True if the same call may succeed later unchanged."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ConfigurationError(PictographError):
    """A setting is missing or wrong; nothing was sent."""

    code = "configuration"


class ConnectionFailed(PictographError):
    """The server could not be reached, or did not answer in time."""

    code = "connection_failed"
    retryable = True


class ModelDamaged(PictographError):
    """A model's file, or a bundle, is not what its manifest says; nothing of it was put into use."""

    code = "model_damaged"


class WorkerLost(PictographError):
    """The worker's process ended, again and again, while it processed this image; the reason of a failed image."""

    code = "worker_lost"


class ApiError(PictographError):
    """An answer that is not a success. Subclasses tell which."""

    code = "api_error"
    status: ClassVar[int] = 500

    def __init__(
        self,
        message: str,
        *,
        status_code: int | None = None,
        details: dict[str, Any] | None = None,
        request_id: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status_code = self.status if status_code is None else status_code
        self.details = details or {}
        self.request_id = request_id
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return f"{self.message} (request {self.request_id})" if self.request_id else self.message


class AuthError(ApiError):
    """No key, or one this server does not know."""

    code = "unauthorized"
    status = 401


class ForbiddenError(ApiError):
    """The key is known, but its role may not do this."""

    code = "forbidden"
    status = 403


class BadSignature(ForbiddenError):
    """A URL of a picture whose signature does not fit it."""

    code = "bad_signature"


class UrlExpired(ForbiddenError):
    """The time of a picture's URL is over, or the key that asked for it works no more."""

    code = "url_expired"


class NotFoundError(ApiError):
    """It does not exist, or it belongs to another organization: the two look the same."""

    code = "not_found"
    status = 404


class MethodNotAllowed(ApiError):
    """The path exists, but takes other methods; the header `Allow` names them."""

    code = "method_not_allowed"
    status = 405


class SlowSender(ApiError):
    """The request did not arrive in time; nothing was changed."""

    code = "slow_sender"
    status = 408
    retryable = True


class ConflictError(ApiError):
    """The name is already taken, or the state forbids it."""

    code = "conflict"
    status = 409


class EmbeddingFailed(ConflictError):
    """The reference image could not be embedded; the message carries the reason."""

    code = "embedding_failed"


class NoBytes(ConflictError):
    """The image was imported as a vector: there is no picture to show, to download or to encode again."""

    code = "no_bytes"


class IdempotencyConflict(ConflictError):
    """This Idempotency-Key came with another request within the last 24 hours."""

    code = "idempotency_conflict"


class SpaceMismatch(ConflictError):
    """The data was embedded by another model than the one running now."""

    code = "space_mismatch"


class ValidationError(ApiError):
    """A value is wrong; `field_errors` names each."""

    code = "validation_error"
    status = 422

    @property
    def field_errors(self) -> list[dict[str, Any]]:
        """One `{"loc": [...], "msg": "..."}` per wrong value."""
        errors = self.details.get("errors")
        return errors if isinstance(errors, list) else []


def wrong_value(field: str, message: str) -> ValidationError:
    """A ValidationError that names the field; what UTF-8 cannot hold is escaped in the message."""
    printable = message.encode("utf-8", "backslashreplace").decode()
    return ValidationError(printable, details={"errors": [{"loc": [field], "msg": printable}]})


class BadImage(ValidationError):
    """These bytes are not a picture that can be read."""

    code = "bad_image"


class TooCostly(BadImage):
    """Decoding this picture takes more memory or time than one picture may; the message names the setting."""

    code = "too_costly"


class UnsupportedFormat(ValidationError):
    """The format of these bytes is not supported."""

    code = "unsupported_format"
    status = 415


class TooLarge(ValidationError):
    """More bytes or pixels than the server takes."""

    code = "too_large"
    status = 413


class HeadTooLarge(TooLarge):
    """The headers of a request, or (414) its address, are larger than the server reads."""

    code = "head_too_large"
    status = 431


class RangeNotSatisfiable(ValidationError):
    """A range of bytes that begins behind the end of the file; `details["size"]` says how many it has."""

    code = "range_not_satisfiable"
    status = 416


class WrongHost(ApiError):
    """The request names a host that is not the service's own; the message names the setting."""

    code = "wrong_host"
    status = 421


class RateLimitError(ApiError):
    """Too much at once; wait `retry_after_s` seconds."""

    code = "rate_limited"
    status = 429
    retryable = True


class StillRunning(RateLimitError):
    """The server is still working on the first request with this Idempotency-Key; the SDK asks again by itself."""

    code = "still_running"


class ServerError(ApiError):
    """The server failed, or answered with something that is not its protocol."""

    code = "server_error"
    status = 500
    retryable = True


class NotSupported(ServerError):
    """Other services of this protocol have this, this one does not; `details["feature"]` names it."""

    code = "not_supported"
    status = 501
    retryable = False


class EmbeddingPending(ServerError):
    """The reference image is still being embedded; the SDK asks again by itself."""

    code = "embedding_pending"
    status = 503


class Unavailable(ServerError):
    """The database or the blob store cannot be reached just now."""

    code = "unavailable"
    status = 503
    words: ClassVar[str] = "The database or the blob store cannot be reached"
    """What a person reads first; what the database said follows it."""


class StorageFull(ServerError):
    """A disk has no room left; nothing of the request was kept. It succeeds once there is room."""

    code = "storage_full"
    status = 507
    retryable = False
    words: ClassVar[str] = "The database's disk is full; make room there, then send this again"


class DatabaseAway(Unavailable):
    """The database cannot be reached, or the connection to it broke."""

    code = "database_away"
    words = "The database cannot be reached"


class DatabaseStopping(Unavailable):
    """The database is shutting down, starting or recovering; it will be back."""

    code = "database_stopping"
    words = "The database is shutting down or starting; try again in a moment"


class DatabaseRefused(Unavailable):
    """The database answers but refuses the connection: it needs another password, name or right."""

    code = "database_refused"
    retryable = False
    words = (
        "The database refuses the connection; check user, password and name in --database-url, and the user's rights"
    )


class DatabaseIncomplete(Unavailable):
    """The database lacks pgvector, or the files of it."""

    code = "database_incomplete"
    retryable = False
    words = "The database lacks pgvector; install it there (CREATE EXTENSION vector)"


class DatabaseBusy(Unavailable):
    """The database has no connection, or another resource, left."""

    code = "database_busy"
    words = "The database takes no more connections; allow it more (max_connections), or start fewer services"


class DatabaseOutOfMemory(Unavailable):
    """The database ran out of memory while it worked on this request."""

    code = "database_out_of_memory"
    words = "The database ran out of memory; give its machine more, or lower work_mem"


class DatabaseReadOnly(Unavailable):
    """The database takes no writes: it is a standby, or was set so."""

    code = "database_read_only"
    words = "The database takes no writes; point --database-url at the primary, or make this one writable again"


class DatabaseDamaged(Unavailable):
    """The database's files are damaged, or the disk under them fails."""

    code = "database_damaged"
    retryable = False
    words = "The database cannot read or write its files; look at its log and restore it from a backup"


class LockTimeout(Unavailable):
    """Another program has locked what this request needs, and did not release it in time."""

    code = "lock_timeout"
    words = "Another program has locked rows of the database for too long; try again in a moment"


class StatementTimeout(Unavailable):
    """A statement took longer than the database allows, or was cancelled there."""

    code = "statement_timeout"
    words = "The database stopped this before it was done: a time limit there, or a person, ended it"


class WriteConflict(Unavailable):
    """Others wrote the same rows at the same time, also when it was tried again; nothing was changed."""

    code = "write_conflict"
    words = "Others are writing the same rows; try again in a moment"


class BlobMissing(Unavailable):
    """A row names bytes that the store does not have; worth a retry, because a store may lag behind."""

    code = "blob_missing"


def api_error_classes() -> Iterator[type[ApiError]]:
    """Every class an answer can become, the general before the special."""
    waiting: list[type[ApiError]] = [ApiError]
    while waiting:
        error_class = waiting.pop(0)
        yield error_class
        waiting.extend(error_class.__subclasses__())


def error_class_for(status_code: int, code: str | None) -> type[ApiError]:
    """The class of an answer: by its code if we know it, else by its status."""
    by_code = {error_class.code: error_class for error_class in api_error_classes()}
    if code in by_code:
        return by_code[code]
    if status_code >= 500:
        return ServerError
    if status_code == 400:
        return ValidationError
    return next((c for c in api_error_classes() if c is not ApiError and c.status == status_code), ApiError)

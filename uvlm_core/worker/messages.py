"""The messages of the protocol: what a request is, and how replies, errors and notifications are written."""

from __future__ import annotations

import json
from dataclasses import dataclass

PROTOCOL = "uvlm-worker/1"
LONGEST_LINE = 32 << 20

PARSE, REQUEST, METHOD, PARAMS, UNEXPECTED = -32700, -32600, -32601, -32602, -32603  # JSON-RPC 2.0, section 5.1
BUSY, STOPPING = -32001, -32002
VOLUME, BUNDLE, STUDY, INPUT, OUT_OF_MEMORY, MISSING_PACKAGE = -32010, -32011, -32012, -32013, -32014, -32015
CANCELLED = -32800  # the number that the Language Server Protocol gave it
KINDS = {PARSE: "parse", REQUEST: "request", METHOD: "method", PARAMS: "params", UNEXPECTED: "unexpected", BUSY: "busy",
         STOPPING: "stopping", VOLUME: "volume", BUNDLE: "bundle", STUDY: "study", INPUT: "input",
         OUT_OF_MEMORY: "out_of_memory", MISSING_PACKAGE: "missing_package", CANCELLED: "cancelled"}

Id = str | int | None


class Refusal(Exception):
    """An error reply: `code` of this module, `message` for the user, `more` entries of its data."""

    def __init__(self, code: int, message: str, what_to_do: str | None = None, stage: str | None = None, **more):
        super().__init__(message)
        self.code = code
        self.data = {"kind": KINDS[code], "stage": stage, "what_to_do": what_to_do, **more}

    def to_dict(self) -> dict:
        """The `error` of a reply."""
        return {"code": self.code, "message": str(self), "data": self.data}


@dataclass(frozen=True)
class Request:
    """One call; `wants_reply` is False for a notification."""

    method: str
    params: object
    id: Id
    wants_reply: bool


def parse_request(line: bytes) -> Request:
    """One line as a request.

    Raises:
        BadLine: it is none; with the id to answer to.
    """
    try:
        row = json.loads(line.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BadLine(Refusal(PARSE, f"The line is no JSON object in UTF-8: {_short(error)}.")) from error
    if isinstance(row, list):
        raise BadLine(Refusal(REQUEST, "Batches are not supported: send one request per line."))
    if not isinstance(row, dict):
        raise BadLine(Refusal(REQUEST, f"A request is a JSON object; found {described(row)}."))
    identity = row.get("id")
    if isinstance(identity, bool) or ("id" in row and not isinstance(identity, (str, int))):
        raise BadLine(Refusal(REQUEST, f"An id is a string or an integer; found {described(identity)}."))
    if row.get("jsonrpc") != "2.0":
        raise BadLine(Refusal(REQUEST, f"'jsonrpc' must be \"2.0\"; found {described(row.get('jsonrpc'))}."), identity)
    if not isinstance(row.get("method"), str):
        raise BadLine(Refusal(REQUEST, f"'method' must be a text; found {described(row.get('method'))}."), identity)
    return Request(row["method"], row.get("params"), identity, "id" in row)


class BadLine(Exception):
    """A line that is no request: `refusal` is the answer, to `id`."""

    def __init__(self, refusal: Refusal, identity: Id = None):
        super().__init__(str(refusal))
        self.refusal, self.id = refusal, identity


def _no_constant(name: str):
    raise ValueError(f"{name} is no JSON number")


def _short(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return text if len(text) <= 200 else text[:200] + "…"


def described(value: object) -> str:
    """A value of JSON in a few words, for "found …"."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"the text '{value[:60]}{'…' if len(value) > 60 else ''}'"
    if isinstance(value, (int, float)):
        return f"the number {value!r:.40}"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return f"an object with {', '.join(sorted(value)[:6]) or 'no entries'}" if isinstance(value, dict) else str(value)


def result(identity: Id, values: dict) -> dict:
    """A successful reply."""
    return {"jsonrpc": "2.0", "id": identity, "result": values}


def error(identity: Id, refusal: Refusal) -> dict:
    """An error reply."""
    return {"jsonrpc": "2.0", "id": identity, "error": refusal.to_dict()}


def notification(method: str, **params) -> dict:
    """A message that expects no reply."""
    return {"jsonrpc": "2.0", "method": method, "params": params}


def line_of(message: dict) -> bytes:
    """One line of ASCII.

    Raises:
        ValueError: a number that JSON does not have (NaN, infinity).
    """
    return json.dumps(message, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode("ascii") + b"\n"

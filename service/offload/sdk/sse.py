"""Server-sent events, read as the specification says (https://html.spec.whatwg.org/#event-stream-interpretation).

Works on bytes: a reader that splits text into lines by Unicode's rules would break the JSON of an event at U+2028.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_LINE_END = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class Message:
    """One event as it was sent; `id` is the last one that was set, by which a reader resumes."""

    id: str
    event: str
    data: str


@dataclass(slots=True)
class Decoder:
    """Turns the bytes of one connection into complete events.

    `last_id` is the place from which a reader resumes: the id of the last complete block, even one without data.
    """

    last_id: str = ""
    _id: str = field(init=False)
    _rest: bytes = b""
    _event: str = ""
    _data: list[str] = field(default_factory=list)
    _ended_in_cr: bool = False

    def __post_init__(self) -> None:
        self._id = self.last_id

    def feed(self, chunk: bytes) -> Iterator[Message]:
        """Read on; an event that is cut off at the end of the stream is dropped, since it will be sent again."""
        if not chunk:
            return
        if self._ended_in_cr:
            chunk = chunk.removeprefix(b"\n")
        self._ended_in_cr = chunk.endswith(b"\r")
        *lines, self._rest = _LINE_END.split(self._rest + chunk)
        for line in lines:
            if line:
                self._take(line.decode("utf-8", "replace"))
            elif message := self._dispatch():
                yield message

    def _take(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "data":
                self._data.append(value)
            case "event":
                self._event = value
            case "id" if "\0" not in value:
                self._id = value
            case _:  # a comment, or `retry`: the pause is decided by RetryPolicy
                pass

    def _dispatch(self) -> Message | None:
        event, data, self.last_id = self._event, self._data, self._id
        self._event, self._data = "", []
        return Message(self.last_id, event or "message", "\n".join(data)) if data else None

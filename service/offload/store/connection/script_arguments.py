"""The arguments of the Lua scripts, named once for Python, which passes them, and for Lua, which reads them.

In a script, `ARGV.worker` is the argument of that name; `END(i).token` is that of the item that begins at index `i`;
`SIZE(END)` is the number of arguments of such an item, and `FIRST` the index after the named arguments.
All are replaced by numbers when the scripts are loaded, so a name costs nothing at run time.
"""

import re
from collections.abc import Mapping

Arg = str | bytes | int | float

NAMED: Mapping[str, tuple[str, ...]] = {
    script: tuple(names.split())
    for script, names in {
        "abort": "now result_ttl_ms dead_ttl_ms queue_count",
        "heartbeat": "now worker description ttl_s",
        "blocked": "now record event job_id process held_ms ttl_s",
        "claim": "now worker sequence lease_ms slots timeout_ms grace_ms",
        "clear": "now",
        "enqueue": "now",
        "finish": "now worker",
        "forget": "now",
        "idempotency": "now key mark ttl_ms",
        "list": "now limit candidates promotes after before score job_id is_union",
        "note": "now lines",
        "override": "now function place who",
        "pause": "now queue is_paused who",
        "prune": "now limit abort_age_ms",
        "read": "",
        "release": "now worker max_tries dead_ttl_ms reason culprit",
        "renew": "now worker lease_ms",
        "replay": "now",
        "stall": "now record event job_id fingerprint kind name held_ms process blames",
        "sweep": "now list_count",
        "tick": "now schedule at_ms following_ms job_id queue payload",
        "wait": "now worker job_id token place until_ms",
    }.items()
}
"""The named arguments of each script, in their order; `now` is the time in ms, 0 for the clock of Redis."""

ITEMS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "abort": {"JOB": ("id", "result", "function")},
    "claim": {"QUEUE": ("name", "most")},
    "enqueue": {"JOB": ("id", "queue", "due", "payload", "width"), "MARK": ("nothing", "key", "value", "jobs")},
    "finish": {
        "END": (
            "id", "token", "verb", "result", "result_ttl_ms", "record_ttl_ms", "due", "failed_attempt", "function",
            "fields", "fingerprint", "loop", "over_budget",
        )
    },
    "note": {"NOTE": ("id", "token", "kind", "text")},
}  # fmt: skip
"""The arguments of one item behind the named ones, by the name that the script has for such an item."""

_ARGUMENT = re.compile(r"\bARGV\.(\w+)")
_OF_ITEM = re.compile(r"\b([A-Z]+)\(([a-z]\w*)\)\.(\w+)")
_SIZE = re.compile(r"\bSIZE\(([A-Z]+)\)")
_FIRST = re.compile(r"\bFIRST\b")


def in_order(script: str, named: Mapping[str, Arg]) -> list[Arg]:
    """Return named arguments as the script takes them; raises TypeError for one that is missing or unknown."""
    names = NAMED[script]
    if len(named) != len(names) or any(name not in named for name in names):
        msg = f"{script}.lua takes {', '.join(names) or 'no named arguments'}; it was given {', '.join(named)}"
        raise TypeError(msg)
    return [named[name] for name in names]


def numbered(script: str, text: str) -> str:
    """Return the text of a script with numbers in place of names; raises KeyError, ValueError for a name not here."""
    names, items = NAMED[script], ITEMS.get(script, {})
    text = _ARGUMENT.sub(lambda match: f"ARGV[{names.index(match[1]) + 1}]", text)
    text = _OF_ITEM.sub(lambda match: f"ARGV[{match[2]} + {items[match[1]].index(match[3])}]", text)
    text = _SIZE.sub(lambda match: str(len(items[match[1]])), text)
    return _FIRST.sub(str(len(names) + 1), text)

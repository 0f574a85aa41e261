"""The fields of a new job's record, besides its queue and times, from its function and its options."""

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

from offload.domain.functions import NO_OPTIONS, EnqueueOptions, JobFunction


def record_fields(
    function: JobFunction[Any, Any], options: EnqueueOptions, args: Mapping[str, Any]
) -> dict[str, str | int | bytes]:
    """Return the fields of a new job's record besides its queue and times; `function` comes first."""
    fields: dict[str, str | int | bytes] = {"function": function.name}
    if tries := options.max_tries or function.max_tries:
        fields["max_tries"] = tries
    if timeout := options.timeout or function.timeout:
        fields["timeout"] = round(timeout * 1000)
    if options is NO_OPTIONS:
        return fields
    if options.tags:
        fields["tags"] = orjson.dumps(options.tags)
    if options.priority:
        fields["priority"] = options.priority
    if options.unique_key is not None or options.unique_for is not None:
        fields["unique"] = _unique(function.name, options, args)
        if options.unique_for:
            fields["unique_for"] = round(options.unique_for * 1000)
    if stored := stored_options(options):
        fields["options"] = orjson.dumps(stored)
    return fields


def stored_options(options: EnqueueOptions) -> dict[str, Any]:
    """Return the options that the record keeps as they are; scripts read others from fields of their own."""
    every = {
        "max_tries": options.max_tries,
        "timeout": options.timeout,
        "deadline": options.deadline_ms,
        "keep_result": options.keep_result,
        "traceparent": options.traceparent,
        "parent": options.parent,
        "callback_url": options.callback_url,
        "unique_key": options.unique_key,
    }
    return {name: value for name, value in every.items() if value is not None}


def _unique(function: str, options: EnqueueOptions, args: Mapping[str, Any]) -> str:
    """Return the name of a unique key in Redis: of the given key, or of the arguments in any order."""
    if options.unique_key is not None:
        about = f"{function}\0key\0{options.unique_key}".encode()
    else:
        about = f"{function}\0args\0".encode() + orjson.dumps(args, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha1(about, usedforsecurity=False).hexdigest()

"""`offload keys`: secrets made on this machine, and shown once. Nothing is stored, and no Redis is needed."""

from typing import Annotated

import typer

from offload.cli import output
from offload.domain.security import api_keys, encryption_keys
from offload.domain.security.api_keys import ABOUT, Scope

app = typer.Typer(no_args_is_help=True, help="Make keys of the API, and of the encryption at rest.")

_SCOPES = "; ".join(f"{scope}: {about}" for scope, about in ABOUT.items())


@app.command()
def new(
    name: Annotated[str, typer.Option(help="Who will use it; it stands in the audit and in the log.")],
    scope: Annotated[list[Scope], typer.Option(help=f"What it may do; may be repeated.  [{_SCOPES}]")],
    as_json: output.Json = False,
) -> None:
    """Make a key of the API: the secret, for its user alone, and the entry of OFFLOAD_API_KEYS, which is none."""
    try:
        secret, entry = api_keys.new(name, scope)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    if as_json:
        output.print_json({"name": name, "scopes": sorted(set(scope)), "key": secret, "entry": entry})
        return
    print(f"key, shown this once:       {secret}")
    print(f"entry of OFFLOAD_API_KEYS:  {entry}")


@app.command()
def encryption(as_json: output.Json = False) -> None:
    """Make a key for OFFLOAD_ENCRYPTION_KEYS: put it first, leave the older ones behind it until nothing needs them."""
    entry = encryption_keys.new()
    key_id = encryption_keys.read_keys([entry])[0].id.hex()
    if as_json:
        output.print_json({"key": entry, "id": key_id})
        return
    print(entry)

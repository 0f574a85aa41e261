"""`offload keys`: creates secrets on this machine and shows them once. Nothing is stored; no Redis is needed."""

from typing import Annotated

import typer

from offload.cli import output
from offload.domain.security import api_keys, encryption_keys
from offload.domain.security.api_keys import ABOUT, Scope

app = typer.Typer(no_args_is_help=True, help="Create API keys and encryption keys.")

_SCOPES = "; ".join(f"{scope}: {about}" for scope, about in ABOUT.items())


@app.command()
def new(
    name: Annotated[str, typer.Option(help="Name of the client; it appears in the audit and in the log.")],
    scope: Annotated[list[Scope], typer.Option(help=f"Permission of the key. Can be repeated. {_SCOPES}.")],
    as_json: output.Json = False,
) -> None:
    """Create an API key: prints the secret for the client, and the entry for OFFLOAD_API_KEYS (not secret)."""
    try:
        secret, entry = api_keys.new(name, scope)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    if as_json:
        output.print_json({"name": name, "scopes": sorted(set(scope)), "key": secret, "entry": entry})
        return
    print(f"key (shown only once):       {secret}")
    print(f"entry for OFFLOAD_API_KEYS:  {entry}")


@app.command()
def encryption(as_json: output.Json = False) -> None:
    """Create a key for OFFLOAD_ENCRYPTION_KEYS. Put it first; keep older keys after it until no data needs them."""
    entry = encryption_keys.new()
    key_id = encryption_keys.read_keys([entry])[0].id.hex()
    if as_json:
        output.print_json({"key": entry, "id": key_id})
        return
    print(entry)

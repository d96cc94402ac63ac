"""`lessllm client-key`: a new key for a client of the gateway, and the line for the configuration."""

import hashlib
import json
import secrets

import click

from lessllm.cli.command import Command

_MOST_CHARACTERS = 64


@click.command("client-key", cls=Command)
@click.argument("name")
def command(name: str) -> None:
    """Make a key for NAME, who then calls the gateway with it.

    \b
    Examples:
      lessllm client-key team-a

    The key is shown this once: give it to NAME, as the SDK's api_key. The configuration needs its hash alone:
    put the line under auth.keys in lessllm.yaml, or under keys in the file that auth.keys_file names, which
    the gateway reads again when it changes. Limits and budgets go beside it.
    """
    if not 1 <= len(name) <= _MOST_CHARACTERS:
        raise click.BadParameter(f"a name has 1 to {_MOST_CHARACTERS} characters", param_hint="NAME")
    key = f"lk-{secrets.token_urlsafe(32)}"
    digest = hashlib.sha256(key.encode()).hexdigest()
    print(f"# for {name}, who keeps it secret".replace("\n", " "))
    print(key)
    print("# for the configuration")
    print(f"- {{name: {json.dumps(name)}, key_sha256: {digest}}}")

"""`lessllm replay`: a recorded call sent again, and both side by side."""

import asyncio
import json
import sys
from typing import Any

import click
from lessllm_shared.answer_text import answer_text

from lessllm import replay_view
from lessllm.cli import asking
from lessllm.cli.command import Command, Failed
from lessllm.rerun.record import recorded_call
from lessllm.rerun.request import Request, recorded_request
from lessllm.rerun.sending import Sender, key_variable_of, provider_of
from lessllm.screen import note, show, width


@click.command("replay", cls=Command)
@click.argument("request_id")
@click.option("--model", metavar="NAME", help="Ask this model instead, of whatever provider.")
@click.option("--full", is_flag=True, help="The whole answers, however long.")
@click.option(
    "--any-endpoint",
    is_flag=True,
    help="Also at endpoints that do more than run a model: files, batches, whatever may change something.",
)
@asking.json_option
@asking.calling_options
def command(
    request_id: str,
    model: str | None,
    full: bool,
    any_endpoint: bool,
    as_json: bool,
    gateway_url: str | None,
    api_key_env: str | None,
    url: str | None,
    config_file: str | None,
) -> None:
    """Send a recorded request again, as its client sent it, through the gateway; and show both calls side
    by side: how they ended, times, tokens, cost, and what was said. REQUEST_ID as in lessllm show. The new
    call is recorded like any other, with the tag replay_of.

    \b
    Examples:
      lessllm replay e17d73b36454
      lessllm replay e17d73b36454 --model claude-sonnet-5
      lessllm replay e17d73b36454 --model openrouter/qwen/qwen3-32b
      lessllm replay e17d73b36454 --json | jq '.replay.estimated_cost_usd'

    It costs what the call costs. Tools that the provider itself runs are run again; those of your application
    are not. Records hold no keys: the gateway's configuration has one, or yours is taken from the
    environment.

    It fails if the new call does.
    """
    with asking.calling(url, gateway_url, config_file) as (asked, gateway):
        content = asked.call_content(asking.whole_id(asked, request_id))
        request = recorded_request(content, any_endpoint=any_endpoint).changed(model=model)
        replay = recorded_call(asked, asyncio.run(_send(request, gateway, api_key_env)))
    recorded = json.loads(content)
    if as_json:
        calls = {"recorded": recorded, "replay": replay}
        said = {
            name: {**call, "answer_text": answer_text(call["raw_response"])} for name, call in calls.items()
        }
        print(json.dumps(said, ensure_ascii=False, indent=2))
    else:
        show(*replay_view.parts(recorded, replay, width(), full=full))
    sys.stdout.flush()  # before what follows on stderr
    if replay["end_reason"] != "complete":
        _tell_of_key(request, replay, api_key_env)
        raise Failed(f"the replay failed: {replay['error_code'] or replay['end_reason']}")


async def _send(request: Request, gateway_url: str, key_variable: str | None) -> str:
    async with Sender(gateway_url, key_variable) as sender:
        return await sender.send(request, {"replay_of": request.replay_of or ""})


def _tell_of_key(request: Request, replay: dict[str, Any], key_variable: str | None) -> None:
    """What to do where a key is missing or wrong."""
    if replay["status_code"] not in {401, 403}:
        return
    provider = replay["provider"]
    if provider is None:  # it was sent to none, and the gateway said what is missing
        return
    if provider == provider_of(request):
        variable = key_variable or key_variable_of(request) or "no environment variable"
        note(f"{provider} takes yours from {variable}, or from what --api-key-env names")
    note(f"the gateway has a key for it if you set providers.{provider}.api_key")

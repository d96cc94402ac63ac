"""`lessllm compact`: the space of deleted calls given back, by a process of the collector's."""

import os
import subprocess
import sys

import click
from lessllm_shared.config import ClientSettings, load

from lessllm.cli.command import Command, Failed, config_option
from lessllm.plan import compaction, find_document
from lessllm.state import ServerState

_WAIT_S = 60.0


@click.command("compact", cls=Command)
@config_option
def command(config_file: str | None) -> int:
    """Give the space of deleted calls back to the file system. The server must be stopped.

    \b
    Examples:
      lessllm compact
      lessllm compact --config /etc/lessllm.yaml

    Space that deleted calls leave is used for new ones, so this is needed only when much was deleted for
    good. The database is written anew beside the old one, compared with it, and put in its place.
    """
    document = find_document(config_file)
    database = load(ClientSettings, document).logging.db_path.resolve()
    folder, service = ServerState(database), compaction(document)
    if (running := folder.running()) is not None:
        raise Failed(f"{database}: a server uses it (process {running.pid}, {running.url}): stop it first")
    with folder.starting(_WAIT_S), folder.claim():
        with subprocess.Popen(
            [sys.executable, "-P", "-m", "lessllm_collector.compact", "--config", "-"],
            stdin=subprocess.PIPE,
            env={**os.environ, **service.environment},
        ) as process:
            try:
                process.communicate(service.document)
            except BaseException:  # Ctrl-C has reached it too; whatever else ends us has not
                process.terminate()
                process.wait()
                raise
        return process.returncode

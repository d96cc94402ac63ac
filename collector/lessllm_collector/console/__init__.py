"""The console: pages for people, at `/` and below `/console`. A request in, HTML out.

    request → door (has the key been shown?) → a page's module (which period; questions on a reader's thread)
    → rendering (a template, the reader's language) → HTML

A page is a module with `add(router, console)`, a template, and a file of messages. Charts are SVG that
`charts` writes. Pages read metric columns in a few aggregated questions; only one call's page reads bodies.
"""

from lessllm_collector.console.context import Console
from lessllm_collector.console.door import Door
from lessllm_collector.console.router import create_console

__all__ = ["Console", "Door", "create_console"]

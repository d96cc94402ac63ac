"""What could be changed so that calls cost less: findings with evidence and dollars (SEMANTICS section 5).

    rows → traces (hashes, no text) → comparing (with earlier calls) → findings (by detectors: changed,
    marked, timed) → telling (words, snippet, evidence)

`analyst` does it on request, `limits` says how much evidence is enough, docs/suggestions.md what is found.
"""

from lessllm_collector.suggestions.analyst import Analyst
from lessllm_collector.suggestions.reading import Wanted

__all__ = ["Analyst", "Wanted"]

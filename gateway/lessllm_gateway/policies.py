"""What is done about sensitive data in a call: its key and its model in, policy and kinds out. Pure.

What a key or a model says holds instead of the general setting; where both say something, or where a call
may go to several models, the strictest holds.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lessllm_shared.config import GatewaySettings
from lessllm_shared.config.sections import Model, SensitiveData
from lessllm_shared.config.values import SENSITIVE_POLICIES
from lessllm_shared.sensitive.kinds import GROUPS, KINDS, UNCHECKED

_ACTING = frozenset(("redact_record", "block"))


@dataclass(frozen=True, slots=True)
class Rule:
    """A policy, and the kinds that it redacts or blocks."""

    policy: str
    kinds: frozenset[str]

    @property
    def acts(self) -> bool:
        """The gateway has to look itself."""
        return self.policy in _ACTING


class Policies:
    """Of one configuration."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._default = _rule(settings.sensitive_data, Rule("flag", frozenset(KINDS)))
        self._models = _by_name(settings.models, self._default)

    def of(self, of_key: SensitiveData | None, model: str | None) -> Rule:
        """What holds for a call, by what its key says. A request that names no model may go to any."""
        if of_key is None and model is not None and model not in self._models:
            return self._default
        said = [] if of_key is None else [_rule(of_key, self._default)]
        if model is None:
            said += self._models.values() if said else (self._default, *self._models.values())
        elif model in self._models:
            said.append(self._models[model])
        return _strictest(said or [self._default])


def _by_name(models: Mapping[str, Model], default: Rule) -> dict[str, Rule]:
    """By alias, and by the names that reach the same model past the alias."""
    own = {
        alias: _rule(model.sensitive_data, default)
        for alias, model in models.items()
        if model.sensitive_data is not None
    }
    rules: dict[str, Rule] = {}
    for alias, model in models.items():
        reached = (alias, *model.fallbacks)
        if not own.keys().isdisjoint(reached):
            rules[alias] = _strictest(own.get(name, default) for name in reached)
    for alias, rule in own.items():
        name = models[alias].model or alias
        for other in (name, f"{models[alias].provider}/{name}"):
            rules[other] = _strictest((rule, rules.get(other, rule)))
    return rules


def _rule(said: SensitiveData | None, otherwise: Rule) -> Rule:
    if said is None:
        return otherwise
    kinds = otherwise.kinds
    if said.kinds is not None:
        kinds = frozenset(kind for name in said.kinds for kind in GROUPS.get(name, (name,))) | {UNCHECKED}
    return Rule(said.policy or otherwise.policy, kinds)


def _strictest(rules: Iterable[Rule]) -> Rule:
    rules = tuple(rules)
    policy = max((rule.policy for rule in rules), key=SENSITIVE_POLICIES.index)
    return Rule(policy, frozenset().union(*(rule.kinds for rule in rules if rule.policy == policy)))

"""Both services against their OpenAPI documents: Schemathesis sends what those allow, and what they don't.

No answer may be a fault, or have a status, a content type, a header or a body that is not documented. What is
sent is the same each time.
"""

import contextlib

import httpx
import pytest
import requests
import schemathesis
from e2e.processes import running_services
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
CASES = settings(
    max_examples=15,  # of each operation
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
KEY = {"authorization": "Bearer sk-someone"}


@pytest.fixture(scope="module")
def running(simulator, tmp_path_factory):
    document = {"providers": {"openai": {"base_url": f"{simulator}/v1"}}}
    with running_services(tmp_path_factory.mktemp("openapi"), document) as services:
        url = f"{services.gateway.url}/v1/chat/completions"
        for _ in range(3):
            assert httpx.post(url, json=CHAT, headers=KEY, trust_env=False).is_success
        services.flush()
        yield services


@pytest.fixture(scope="module")
def session():
    with requests.Session() as session:
        session.trust_env = False
        yield session


@pytest.mark.parametrize("mode", GenerationMode, ids=lambda mode: mode.value)
@pytest.mark.parametrize("service", ["gateway", "collector"])
def test_whatever_is_sent_the_answer_is_a_documented_one(running, session, service, mode):
    url = getattr(running, service).url
    document = httpx.get(f"{url}/openapi.json", trust_env=False).json()
    for result in schemathesis.openapi.from_dict(document).get_all_operations():
        judge(result.ok(), mode, url, session)


def judge(operation, mode, url, session):
    @CASES
    @given(operation.as_strategy(generation_mode=mode))
    def each(case):
        case.call_and_validate(base_url=url, session=session, checks=CHECKS)

    with contextlib.suppress(Unsatisfiable):  # where nothing can be sent, nothing can be sent wrong
        each()

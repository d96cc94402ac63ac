"""The order of trials, and prompts that no cache knows."""

import pytest
from lessllm.rerun.request import Request
from lessllm.rerun.trials import refreshed, trials


def test_every_request_goes_to_every_model_as_often_as_wanted():
    requests = [Request("openai-chat", "/v1/chat/completions", b"{}") for _ in range(3)]
    made = trials(requests, ["a", "b"], 4)
    assert len({(trial.number, trial.model, trial.repeat) for trial in made}) == len(made) == 3 * 2 * 4
    firsts = [trial.model for trial in made[::2]]
    assert firsts.count("a") == firsts.count("b")


@pytest.mark.parametrize(
    ("api_format", "fields", "fresh"),
    [
        (
            "openai-chat",
            {"messages": [{"role": "user", "content": "Hi"}, {"role": "user", "content": "you"}]},
            {"messages": [{"role": "user", "content": "[7] Hi"}, {"role": "user", "content": "you"}]},
        ),
        (
            "openai-chat",
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]},
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "text", "text": "[7] "}, {"type": "text", "text": "Hi"}],
                    }
                ]
            },
        ),
        ("anthropic-messages", {"messages": []}, {"messages": [], "system": "[7] "}),
        ("anthropic-messages", {"system": "Be kind."}, {"system": "[7] Be kind."}),
        ("openai-responses", {"input": "Hi"}, {"input": "Hi", "instructions": "[7] "}),
        ("openai-completions", {"prompt": "Hi"}, {"prompt": "[7] Hi"}),
        ("openai-completions", {"prompt": [1, 2]}, {"prompt": [1, 2]}),
        ("openai-embeddings", {"input": "Hi"}, {"input": "Hi"}),
    ],
)
def test_a_fresh_prompt_begins_with_what_nobody_has_sent_before(api_format, fields, fresh):
    request = Request(api_format, "/v1/…", b"{}").with_fields(fields)
    assert refreshed(request, "7").fields() == fresh

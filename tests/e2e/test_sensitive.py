"""Sensitive data through real processes: on no disk where it is not to be recorded, and counted."""

import httpx

KEY = {"authorization": "Bearer sk-someone"}
MAIL = "zhang.wei@example.org"


def test_what_is_not_to_be_recorded_is_in_no_file_and_is_counted_all_the_same(services, simulator):
    running = services(
        {
            "providers": {"openai": {"base_url": f"{simulator}/v1"}},
            "models": {
                "kept": {
                    "provider": "openai",
                    "model": "gpt-4o",
                    "sensitive_data": {"policy": "redact_record"},
                },
                "open": {"provider": "openai", "model": "gpt-4o"},
                "shut": {"provider": "openai", "model": "gpt-4o", "sensitive_data": {"policy": "block"}},
            },
            "logging": {"spool": "always"},
        }
    )
    running.collector.stop()  # records wait on disk
    statuses = {}
    with httpx.Client(base_url=running.gateway.url, headers=KEY, trust_env=False, timeout=30) as client:
        for model in ("kept", "shut"):
            for stream in (False, True):
                text = f"Say again: {MAIL}, 4111 1111 1111 1111"
                body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": text}]}
                statuses[model, stream] = client.post("/v1/chat/completions", json=body).status_code
    assert statuses == {("kept", False): 200, ("kept", True): 200, ("shut", False): 400, ("shut", True): 400}
    files = [path.read_bytes() for path in running.folder.rglob("*") if path.is_file()]
    assert any(b"[email], [card]" in data for data in files)
    assert not any(MAIL.encode() in data for data in files)
    running.start("collector")
    with httpx.Client(base_url=running.gateway.url, headers=KEY, trust_env=False, timeout=30) as client:
        body = {"model": "open", "messages": [{"role": "user", "content": MAIL}]}
        assert client.post("/v1/chat/completions", json=body).status_code == 200
    running.flush()
    found = running.rows(
        "SELECT model, policy, kind, sum(findings)::INT AS n FROM sensitive_data GROUP BY ALL ORDER BY ALL"
    )
    assert [tuple(row.values()) for row in found] == [
        ("kept", "redact_record", "card", 2),
        ("kept", "redact_record", "email", 2),
        ("open", "flag", "email", 1),
        ("shut", "block", "card", 2),
        ("shut", "block", "email", 2),
    ]
    report = httpx.get(f"{running.collector.url}/sensitive", trust_env=False).json()
    assert (report["calls"], report["with_findings"], report["blocked"]) == (5, 5, 2)

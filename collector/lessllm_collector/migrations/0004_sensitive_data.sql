-- What was found in requests, and what the configuration says of it.
ALTER TABLE internal.calls ADD COLUMN sensitive_policy VARCHAR;
ALTER TABLE internal.calls ADD COLUMN sensitive_findings JSON;

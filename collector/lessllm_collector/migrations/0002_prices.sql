-- What a cost was worked out from.
ALTER TABLE internal.calls ADD COLUMN price_terms VARCHAR;
ALTER TABLE internal.calls ADD COLUMN estimated_prompt_tokens BIGINT;
ALTER TABLE internal.calls ADD COLUMN estimated_completion_tokens BIGINT;
ALTER TABLE internal.calls ADD COLUMN input_usd_per_mtok DOUBLE;
ALTER TABLE internal.calls ADD COLUMN output_usd_per_mtok DOUBLE;
ALTER TABLE internal.calls ADD COLUMN cache_read_usd_per_mtok DOUBLE;
ALTER TABLE internal.calls ADD COLUMN cache_write_usd_per_mtok DOUBLE;
ALTER TABLE internal.calls ADD COLUMN cache_write_1h_usd_per_mtok DOUBLE;
ALTER TABLE internal.calls ADD COLUMN fees_usd DOUBLE;

-- The prediction with the real count of tokens, and what the provider says itself about a miss.
ALTER TABLE internal.calls ADD COLUMN recalibrated_cached_tokens BIGINT;
ALTER TABLE internal.calls ADD COLUMN recalibrated_cache_hit_rate DOUBLE;
ALTER TABLE internal.calls ADD COLUMN actual_cache_miss_reason VARCHAR;

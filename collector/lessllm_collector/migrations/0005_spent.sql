-- What each client key's calls of a UTC day have cost: changed in the same transaction as the rows, and still
-- here when retention has deleted them.
CREATE TABLE internal.spent (
    client_key VARCHAR NOT NULL,
    day DATE NOT NULL,
    calls BIGINT NOT NULL, -- with tokens, or a model whose price is known or not
    usd DOUBLE NOT NULL,
    tokens BIGINT NOT NULL,
    unpriced_calls BIGINT NOT NULL, -- of the calls, those that are not in usd
    PRIMARY KEY (client_key, day)
);

INSERT INTO internal.spent
SELECT client_key, DATE '1970-01-01' + CAST(epoch_us("timestamp") // 86400000000 AS INTEGER) AS day, count(*),
       coalesce(sum(estimated_cost_usd), 0), sum(least(tokens, 1000000000))::BIGINT,
       count(*) FILTER (is_unpriced)
FROM (
    SELECT *, price_source IN ('unknown_model', 'unknown_terms') AS is_unpriced,
           coalesce(actual_total_tokens,
               coalesce(actual_prompt_tokens, estimated_prompt_tokens, 0)
               + coalesce(actual_completion_tokens, estimated_completion_tokens, 0)) AS tokens
    FROM internal.calls
    WHERE client_key IS NOT NULL AND "timestamp" >= TIMESTAMPTZ '1970-01-01 00:00:00+00'
)
WHERE is_unpriced OR estimated_cost_usd IS NOT NULL OR tokens > 0
GROUP BY ALL;

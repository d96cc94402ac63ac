"""OpenAI's API formats: chat completions, completions, embeddings, responses."""

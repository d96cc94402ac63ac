# the application's code stays as it is
client = openai.OpenAI(base_url="http://localhost:8000/v1")
response = client.chat.completions.create(
    model="claude",  # in fact routed to the Claude API
    messages=[{"role": "user", "content": "Hello"}]
)

lessllm server --port 8000 --config lessllm.yaml
export OPENAI_BASE_URL="http://localhost:8000/v1"
python my_ai_app.py

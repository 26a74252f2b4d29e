"""Keep LLM inference from getting slower."""

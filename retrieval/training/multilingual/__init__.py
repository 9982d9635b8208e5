"""Makes the second text tower of a model: `python -m retrieval.training.multilingual`."""

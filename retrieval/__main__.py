"""``python -m retrieval`` is the command line."""

from retrieval.cli import app

if __name__ == "__main__":
    app()

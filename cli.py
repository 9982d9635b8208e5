"""Run sightseek from a checkout: ``python cli.py --help``."""

from retrieval.cli import app

if __name__ == "__main__":
    app()

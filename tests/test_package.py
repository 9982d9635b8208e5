"""The public names, and the rules that hold the layers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import retrieval
from retrieval import errors

REPOSITORY = Path(__file__).resolve().parents[1]


def test_every_public_name_can_be_had() -> None:
    for name in retrieval.__all__:
        assert getattr(retrieval, name) is not None
        assert name in dir(retrieval)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = retrieval.nonsense  # type: ignore[attr-defined]


def test_importing_the_engine_imports_nothing_heavy() -> None:
    program = "import sys, retrieval, indexer; print(*{name.split('.')[0] for name in sys.modules})"
    ran = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    assert not set(ran.stdout.split()) & {"torch", "faiss", "sqlalchemy", "onnxruntime", "av", "PIL", "typer", "rich"}


def test_every_error_is_in_the_drawn_tree() -> None:
    assert errors.__doc__ is not None
    for name, value in vars(errors).items():
        if isinstance(value, type) and issubclass(value, errors.RetrievalError):
            assert name in errors.__doc__
            assert value.exit_code in (1, 2)

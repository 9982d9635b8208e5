"""Keeps third-party libraries quiet and away from the network while a model is opened."""

import contextlib
import logging
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def offline(wanted: bool) -> Iterator[None]:
    """Keep the hub's client and transformers from the network while a model is opened."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or wanted
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Drop what OpenCLIP, timm and transformers say to the root logger and as warnings while they build a model.

    OpenCLIP logs "initialized randomly" for a model whose weights are filled in right after.
    """

    def ours(record: logging.LogRecord) -> bool:
        return "open_clip" not in record.pathname

    root, nothing = logging.getLogger(), logging.NullHandler()
    root.addFilter(ours)
    root.addHandler(nothing)  # without any handler, logging.warning would install one on stderr for good
    try:
        with warnings.catch_warnings():
            for module in ("open_clip", "timm", "transformers", "torch", "huggingface_hub"):
                warnings.filterwarnings("ignore", module=rf"{module}(\.|$)")
            yield
    finally:
        root.removeHandler(nothing)
        root.removeFilter(ours)

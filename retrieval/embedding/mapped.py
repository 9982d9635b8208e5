"""Writes a tower so that opening it costs little: the graph simplified, the weights beside it in a file of their own.

ONNX Runtime maps a file of weights into memory and reads what a run touches; weights inside the graph's file are
parsed and copied, each time. Simplifying beforehand spares each start what a session does by default.
"""

from pathlib import Path

from retrieval.errors import ModelError
from retrieval.messages import _

_LEAST_BYTES = 1024
"""Smaller tensors stay in the graph, where shapes and constants are looked for."""


def weights_name(graph: str) -> str:
    """Return the name of the file that holds the weights of a graph's file."""
    return f"{graph}.data"


def write_mapped(traced: Path, path: Path) -> None:
    """Write the ONNX file ``traced`` to ``path``, and its weights beside that.

    Only what leaves plain ONNX is simplified (ONNX Runtime's basic level: constants folded, what is double or does
    nothing left out), so that the file is no more bound to a version or a processor than before.

    Raises:
        ModelError: ``traced`` cannot be read, or there is no room.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(path)
    options.log_severity_level = 3
    for key, value in (
        ("optimized_model_external_initializers_file_name", weights_name(path.name)),
        ("optimized_model_external_initializers_min_size_in_bytes", str(_LEAST_BYTES)),
        ("disable_prepacking", "1"),
    ):
        options.add_session_config_entry(f"session.{key}", value)
    try:
        onnxruntime.InferenceSession(traced, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions share no base of their own
        raise ModelError(
            _("{path} cannot be written ({reason:.120}); make room").format(
                path=path, reason=" ".join(str(error).split())
            )
        ) from None

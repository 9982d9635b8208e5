"""What a figure was measured on."""

import importlib.metadata
import os
import platform
from pathlib import Path

_PACKAGES = ("sightseek", "numpy", "pillow", "av", "onnxruntime", "tokenizers", "faiss-cpu", "sqlalchemy", "torch")


def machine() -> dict[str, object]:
    """Return processor, cores, system and the versions of what was measured, ready for JSON."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: version for name in _PACKAGES if (version := _version(name))},
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()

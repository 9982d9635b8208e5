"""Makes a model folder with the shape of an OpenCLIP model and random weights: as fast as the real one, and at hand.

    python -m benchmarks.random_model ARCH --out FOLDER        (ARCH as in ViT-B-32-256)

OpenCLIP builds the architecture, a checkpoint of it is written, and `sightseek models export` makes the folder of ONNX
files; nothing is downloaded. What such a model finds means nothing. The weights are the same each time, so that what
two programs do with them can be compared.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.machine import machine

_SEED = 0


def write_checkpoint(arch: str, path: Path) -> Path:
    """Write random weights of an OpenCLIP architecture as safetensors; return the file.

    Raises:
        ImportError: OpenCLIP, PyTorch or safetensors is not installed.
    """
    import open_clip
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(_SEED)
    model = open_clip.create_model(arch, pretrained=None)
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, path)
    return path


def write_random_model(arch: str, folder: Path) -> Path:
    """Write ``folder`` (replaced when it holds a model) with random weights of ``arch``; return it.

    Raises:
        ImportError: OpenCLIP, PyTorch or safetensors is not installed.
        SystemExit: the export failed; what it said is on stderr.
    """
    with tempfile.TemporaryDirectory() as temporary:
        checkpoint = write_checkpoint(arch, Path(temporary) / "random.safetensors")
        command = [sys.executable, "-m", "retrieval", "models", "export", f"{arch}@{checkpoint}"]
        if subprocess.run([*command, "--out", str(folder), "--force"], check=False).returncode:
            raise SystemExit(f"{arch} could not be exported")
    return folder


def main() -> None:
    """Write the folder and say what it is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("arch")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    folder = write_random_model(given.arch, given.out)
    size_mb = sum(path.stat().st_size for path in folder.iterdir() if path.is_file()) / 1e6
    print(json.dumps({"arch": given.arch, "folder": str(folder), "mb": round(size_mb, 1), **machine()}, indent=1))


if __name__ == "__main__":
    main()

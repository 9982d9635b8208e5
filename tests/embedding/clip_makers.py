"""Writes small OpenCLIP models of random weights to disk."""

import json
from pathlib import Path
from typing import Any

from retrieval.embedding.surroundings import quiet

SMALL: dict[str, Any] = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
}
COCA: dict[str, Any] = {
    "embed_dim": 32,
    "custom_text": True,
    "vision_cfg": {**SMALL["vision_cfg"], "attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True},
    "text_cfg": {**SMALL["text_cfg"], "embed_cls": True, "output_tokens": True},
    "multimodal_cfg": {"context_length": 16, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 1},
}
PREPROCESS: dict[str, Any] = {
    "mean": [0.5, 0.4, 0.3],
    "std": [0.2, 0.3, 0.4],
    "interpolation": "bicubic",
    "resize_mode": "shortest",
}


def write_clip_folder(folder: Path, seed: int = 0, preprocess: dict[str, Any] = PREPROCESS, **config: Any) -> Path:
    """Write ``open_clip_config.json`` and ``open_clip_model.safetensors``; ``config`` goes over SMALL."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = {"model_cfg": {**SMALL, **config}, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(whole), encoding="utf-8")
    from safetensors.torch import save_file

    state = {key: value.contiguous() for key, value in make(f"local-dir:{folder}", seed).state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    return folder


def make(builder: str, seed: int = 0, **options: Any) -> Any:
    """Build OpenCLIP's own model with random weights (biases and norms too, so that nothing is left at a default)."""
    import open_clip
    import torch

    torch.manual_seed(seed)
    with quiet():
        model = open_clip.create_model(builder, load_weights=False, **options)
    with torch.no_grad():
        for value in model.parameters():
            if value.ndim == 1:
                value.add_(torch.randn_like(value) * 0.1)
    return model.eval()

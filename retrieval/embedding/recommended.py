"""A short list of OpenCLIP models worth a try, as rows of data; any other can be named as well."""

from typing import NamedTuple

from retrieval.messages import N_, _

SOURCE = "zero-shot, OpenCLIP docs/openclip_retrieval_results.csv"


class Figures(NamedTuple):
    """Recall at 1 in per cent as published (Karpathy test splits), from text to image and back."""

    flickr30k_text_to_image: float
    flickr30k_image_to_text: float
    coco_text_to_image: float
    coco_image_to_text: float
    source: str = SOURCE


class Recommended(NamedTuple):
    """A model: ``size_mb`` are megabytes of its float32 weights, ``hub`` is where OpenCLIP fetches them."""

    name: str
    dim: int
    size_mb: int
    hub: str
    note: str
    figures: Figures


RECOMMENDED = (
    Recommended(
        "RN50/openai",
        1024,
        409,
        "timm/resnet50_clip.openai/",
        N_("small"),
        Figures(57.4, 80.0, 28.5, 48.8),
    ),
    Recommended(
        "ViT-B-32/openai",
        512,
        605,
        "timm/vit_base_patch32_clip_224.openai/",
        N_("the original"),
        Figures(58.8, 78.9, 30.4, 50.1),
    ),
    Recommended(
        "ViT-B-32/laion2b_s34b_b79k",
        512,
        605,
        "laion/CLIP-ViT-B-32-laion2B-s34B-b79K/",
        N_("recommended: quick on a processor"),
        Figures(66.8, 84.1, 39.3, 56.3),
    ),
    Recommended(
        "ViT-B-32-256/datacomp_s34b_b86k",
        512,
        606,
        "laion/CLIP-ViT-B-32-256x256-DataComp-s34B-b86K/",
        N_("finer pictures at a third more work"),
        Figures(64.9, 84.8, 39.9, 57.9),
    ),
    Recommended(
        "ViT-B-16-SigLIP/webli",
        768,
        813,
        "timm/ViT-B-16-SigLIP/",
        N_("recommended: best of its size; needs transformers"),
        Figures(74.7, 89.1, 47.8, 65.7),
    ),
    Recommended(
        "ViT-L-14/laion2b_s32b_b82k",
        768,
        1711,
        "laion/CLIP-ViT-L-14-laion2B-s32B-b82K/",
        N_("for a graphics card"),
        Figures(75.5, 89.5, 46.5, 63.4),
    ),
    Recommended(
        "ViT-SO400M-14-SigLIP-384/webli",
        1152,
        3512,
        "timm/ViT-SO400M-14-SigLIP-384/",
        N_("best listed; for a graphics card, needs transformers"),
        Figures(83.0, 94.3, 54.2, 72.4),
    ),
)


def size_note(name: str) -> str:
    """Return `` (about 605 MB)`` for a recommended model, else nothing."""
    for row in RECOMMENDED:
        if row.name == name:
            return _(" (about {size} MB)").format(size=row.size_mb)
    return ""

"""Published figures to stand beside one's own: recall@1, 5, 10 in per cent, with the source of each row.

They are zero-shot figures unless the name of the model says otherwise, on the split that the protocol names.
"""

from typing import NamedTuple

Recall3 = tuple[float, float, float]
"""R@1, R@5 and R@10 in per cent; NaN where the source does not give it."""

_OPENCLIP = "OpenCLIP docs/openclip_retrieval_results.csv, commit 89fb801"
_BENCHMARK = "LAION-AI/CLIP_benchmark benchmark/benchmark.csv, commit 48de38c"
_MATCHING = "Paranioar/Awesome_Matching_Pretraining_Transfering performance.md"
_VSE = "VSE++, Faghri et al., BMVC 2018"
_NAN = float("nan")


class Published(NamedTuple):
    """One published row: recall@1, 5, 10 (per cent) each way, and where it stands.

    A figure that the source does not give is NaN; ``image_to_text`` is ``None`` when the source has that way not at
    all.
    """

    protocol: str
    model: str
    text_to_image: Recall3
    image_to_text: Recall3 | None
    source: str


def published_for(protocol: str) -> tuple[Published, ...]:
    """Return the rows of a protocol, weakest first as far as the sources allow; empty for one without any."""
    return tuple(row for row in _ROWS if row.protocol == protocol)


def _openclip(model: str, flickr: tuple[Recall3, Recall3], coco: tuple[Recall3, Recall3]) -> tuple[Published, ...]:
    return (
        Published("flickr30k", model, *flickr, _OPENCLIP),
        Published("coco-5k", model, *coco, _OPENCLIP),
    )


_ZERO_SHOT = (
    *_openclip(
        "RN50 cc12m, from scratch",
        ((45.9, 73.4, 82.3), (61.2, 85.4, 90.7)),
        ((23.7, 47.9, 59.5), (34.1, 60.7, 71.5)),
    ),
    *_openclip(
        "RN50 openai",
        ((57.4, 83.2, 90.0), (80.0, 95.0, 97.9)),
        ((28.5, 52.9, 64.6), (48.8, 72.8, 82.1)),
    ),
    *_openclip(
        "ViT-B-32 openai",
        ((58.8, 83.6, 90.0), (78.9, 94.9, 98.2)),
        ((30.4, 55.9, 66.9), (50.1, 75.0, 83.5)),
    ),
    *_openclip(
        "ViT-B-32 laion2b_s34b_b79k",
        ((66.8, 88.4, 93.1), (84.1, 96.2, 98.3)),
        ((39.3, 65.4, 75.6), (56.3, 79.8, 87.1)),
    ),
    *_openclip(
        "ViT-B-32-256 datacomp_s34b_b86k",
        ((64.9, 87.2, 92.2), (84.8, 96.7, 98.5)),
        ((39.9, 65.4, 75.2), (57.9, 80.6, 88.1)),
    ),
    *_openclip(
        "ViT-B-16-SigLIP webli",
        ((74.7, 92.3, 95.6), (89.1, 98.0, 99.3)),
        ((47.8, 72.4, 81.0), (65.7, 85.4, 91.3)),
    ),
    *_openclip(
        "ViT-L-14 laion2b_s32b_b82k",
        ((75.5, 92.9, 95.9), (89.5, 98.7, 99.4)),
        ((46.5, 71.1, 79.8), (63.4, 84.0, 90.7)),
    ),
    *_openclip(
        "ViT-SO400M-14-SigLIP-384",
        ((83.0, 96.1, 98.0), (94.3, 99.7, 99.8)),
        ((54.2, 76.8, 84.2), (72.4, 90.0, 94.5)),
    ),
)

_ROWS = (
    Published("flickr8k", "DeViSE, trained", (5.9, 20.1, 29.6), (4.8, 16.5, 27.3), _MATCHING),
    Published(
        "flickr8k", "DVSA, trained, compares words with regions", (11.8, 32.1, 44.7), (16.5, 40.6, 54.2), _MATCHING
    ),
    Published("flickr8k", "UVSE (VGG19), trained", (14.9, 38.3, 51.6), (22.3, 48.7, 59.8), _MATCHING),
    Published("flickr8k", "FV (GMM+HGLMM, CCA), trained", (21.2, 50.0, 64.8), (31.0, 59.3, 73.7), _MATCHING),
    Published("flickr8k", "NAA (ResNet), trained", (27.7, 59.6, 71.8), (37.2, 68.1, 79.1), _MATCHING),
    Published("flickr8k", "SCAN ensemble, trained, cross-attention", (38.3, 67.8, 78.9), (52.2, 81.0, 89.2), _MATCHING),
    Published("flickr8k", "ViT-B-32 openai", (_NAN, 80.5, _NAN), (_NAN, 91.4, _NAN), _BENCHMARK),
    Published("flickr8k", "ViT-B-32 laion2b_s34b", (_NAN, 86.3, _NAN), (_NAN, 94.1, _NAN), _BENCHMARK),
    Published("flickr8k", "ViT-L-14 laion2b", (_NAN, 91.5, _NAN), (_NAN, 96.7, _NAN), _BENCHMARK),
    Published("flickr30k", "VSE++ ResNet152, trained", (39.6, 70.1, 79.5), (52.9, 80.5, 87.2), _VSE),
    Published("coco-5k", "VSE++ ResNet152, trained", (30.3, 59.4, 72.4), (41.3, 71.1, 81.2), _VSE),
    *_ZERO_SHOT,
    Published(
        "coco-5k", "CLIP ViT-B-32 fine-tuned on COCO", (46.9, 74.9, 83.6), (62.2, 85.6, 91.7), "leolee99/CLIP_ITM"
    ),
    Published("msrvtt-1ka", "CLIP ViT-B-32, mean of frames", (31.2, 53.7, 64.2), None, "arXiv 2102.12443"),
    Published("msrvtt-1ka", "PE-Core B16", (47.6, _NAN, _NAN), None, "Perception Encoder, model card"),
    Published("msrvtt-1ka", "PE-Core L14", (50.3, _NAN, _NAN), None, "Perception Encoder, model card"),
    Published("msrvtt-1ka", "PE-Core G14", (51.2, _NAN, _NAN), None, "Perception Encoder, model card"),
)

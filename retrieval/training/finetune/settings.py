"""What can be chosen for a run: one record, from options over a TOML file over defaults; needs no torch."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from retrieval.config import DEFAULT_MODEL
from retrieval.errors import OptionError
from retrieval.messages import _, reason_of

MOST_BYTES = 1 << 20
CHANGEABLE = ("device", "jobs")
"""What may differ when a run goes on: it decides nothing but the speed."""


class Tuning(NamedTuple):
    """The knobs of a run; an empty text or a rate of 0 takes what suits the model (see :func:`completed`).

    ``image_tower`` and ``text_tower`` say what learns: ``locked``, ``heads``, ``last:N`` blocks and heads, ``all``, or
    ``lora``. ``batch`` counts pictures over all processes, ``captions`` those drawn of each picture, ``chunk`` the
    pictures that go through the towers at a time (0: all). ``every`` and ``save_every`` count steps (0: an epoch; only
    when measured). ``keep`` holds the class guesses of the built-in model near those before.
    """

    model: str = DEFAULT_MODEL
    train_split: str = "train"
    dev_split: str = "dev"
    dev_share: float = 0.1
    class_names: str = ""
    loss: str = "infonce"
    smoothing: float = 0.0
    image_tower: str = ""
    text_tower: str = ""
    rank: int = 8
    from_scratch: str = "none"
    head_rate: float = 0.0
    image_rate: float = 0.0
    text_rate: float = 0.0
    decay: float = 0.1
    epochs: int = 10
    batch: int = 256
    chunk: int = 0
    captions: int = 2
    warm_up: float = 0.1
    clip_norm: float = 1.0
    crop: float = 0.5
    flip: float = 0.5
    jitter: float = 0.1
    views: int = 2
    keep: float = 0.2
    average: float = 0.99
    patience: int = 5
    every: int = 0
    save_every: int = 0
    precision: str = "auto"
    device: str = "auto"
    jobs: int = 0
    seed: int = 0


_CHOICES = {
    "loss": ("infonce", "siglip"),
    "from_scratch": ("none", "heads", "all"),
    "precision": ("auto", "fp32", "bf16", "fp16"),
    "device": ("auto", "cpu", "cuda"),
}
_TOWERS = ("image_tower", "text_tower")
_MODES = ("locked", "heads", "all", "lora")
_SHARES = ("dev_share", "smoothing", "warm_up", "crop", "flip", "jitter", "average")
_FROM_ONE = ("rank", "epochs", "batch", "captions", "views", "patience")


def read_toml(path: Path) -> dict[str, Any]:
    """Read the knobs that a TOML file names, each a key of its own without tables.

    Raises:
        OptionError: the file cannot be read, or a key is unknown or of the wrong kind; the line names it.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
        if len(raw) > MOST_BYTES:
            raise OptionError(
                _("{path} is larger than {most:,} bytes; is this a file of settings?").format(
                    path=path, most=MOST_BYTES
                )
            )
        found = tomllib.loads(raw.decode("utf-8"))
    except OSError as error:
        raise OptionError(
            _("{path} cannot be read ({reason}); give a TOML file of settings").format(
                path=path, reason=reason_of(error)
            )
        ) from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise OptionError(
            _("{path} is not TOML ({reason:.100}); correct it").format(path=path, reason=" ".join(str(error).split()))
        ) from None
    return checked_types(found, str(path))


def checked_types(given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return what was given with whole numbers made floats where floats are wanted.

    Raises:
        OptionError: a key is unknown, or its value of the wrong kind.
    """
    unknown = sorted(set(given) - set(Tuning._fields))
    if unknown:
        raise OptionError(
            _("{where}: there is no setting {unknown!r}; there are: {names}").format(
                where=where, unknown=unknown[0], names=", ".join(Tuning._fields)
            )
        )
    out: dict[str, Any] = {}
    for key, value in given.items():
        kind = type(Tuning._field_defaults[key])
        whole = isinstance(value, int) and not isinstance(value, bool)
        if kind is float and (whole or isinstance(value, float)):
            out[key] = float(value)
        elif (kind is int and whole) or (kind is str and isinstance(value, str)):
            out[key] = value
        else:
            wanted = {int: _("a whole number"), float: _("a number"), str: _("text")}[kind]
            raise OptionError(
                _("{where}: {key} is {value!r:.60}, not {wanted}; correct it").format(
                    where=where, key=key, value=value, wanted=wanted
                )
            )
    return out


def chosen(given: Mapping[str, Any], config: Path | None) -> dict[str, Any]:
    """Return what options and the TOML file name, options first, with paths made absolute."""
    found = {**(read_toml(config) if config else {}), **checked_types(given, "option")}
    for key in ("model", "class_names"):
        if key in found:
            found[key] = _rooted(found[key])
    return found


def _rooted(name: str) -> str:
    """Return a name with the path in it made absolute: a run may go on from another folder."""
    before, at, after = name.partition("@")
    if at and after:
        return f"{before}@{Path(after).expanduser().absolute()}"
    path = Path(name).expanduser()
    return str(path.absolute()) if name and name != DEFAULT_MODEL and path.exists() else name


def completed(given: Mapping[str, Any]) -> Tuning:
    """Return all knobs, with what was not given filled in as it suits the model.

    The built-in model learns its heads, an OpenCLIP model all of both towers.

    Raises:
        OptionError: a value makes no sense.
    """
    made = Tuning(**given)
    starter = not _may_be_clip(made.model)
    tower = "heads" if starter else "all"
    made = made._replace(image_tower=made.image_tower or tower, text_tower=made.text_tower or tower)
    _check(made)
    heads, image, text = (3e-4, 1e-4, 5e-5) if starter else (5e-5, 1e-5, 1e-5)
    if made.from_scratch == "all":
        heads = image = text = 5e-4
    elif made.from_scratch == "heads":
        heads = 1e-3
    lora = 3e-4
    return made._replace(
        head_rate=made.head_rate or heads,
        image_rate=made.image_rate or (lora if made.image_tower == "lora" else image),
        text_rate=made.text_rate or (lora if made.text_tower == "lora" else text),
    )


def _may_be_clip(model: str) -> bool:
    """Whether a name is one of OpenCLIP's; a folder is the starter's kind when it has a model.json."""
    return model != DEFAULT_MODEL and not (Path(model).expanduser() / "model.json").is_file()


def last_blocks(mode: str) -> int | None:
    """Return N of ``last:N``, or None for another mode."""
    name, colon, number = mode.partition(":")
    return int(number) if name == "last" and colon and number.isdecimal() and int(number) else None


def differences(before: Tuning, now: Tuning) -> list[str]:
    """Name what differs and would change the result, each as ``batch (256 before, 128 now)``."""
    return [
        _("{key} ({old!r} before, {new!r} now)").format(key=key, old=old, new=new)
        for key, old, new in zip(Tuning._fields, before, now, strict=True)
        if old != new and key not in CHANGEABLE
    ]


def to_toml(tuning: Tuning) -> str:
    """Return the knobs as TOML that :func:`read_toml` reads back."""
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in tuning._asdict().items()]
    return ("\n".join(lines) + "\n").replace("\x7f", "\\u007f")  # the one character that JSON allows and TOML does not


def _check(made: Tuning) -> None:
    for key, choices in _CHOICES.items():
        if getattr(made, key) not in choices:
            raise OptionError(
                _("{key} is {value!r:.60}; use one of {names}").format(
                    key=key, value=getattr(made, key), names=", ".join(choices)
                )
            )
    for key in _TOWERS:
        mode = getattr(made, key)
        if mode not in _MODES and last_blocks(mode) is None:
            raise OptionError(
                _("{key} is {mode!r:.60}; use {names} or last:N with N of 1 or more").format(
                    key=key, mode=mode, names=", ".join(_MODES)
                )
            )
    for key in _SHARES:
        if not 0 <= getattr(made, key) <= 1:
            raise OptionError(_("{key} is {value}; use a share from 0 to 1").format(key=key, value=getattr(made, key)))
    _check_sizes(made)


def _check_sizes(made: Tuning) -> None:
    for key in _FROM_ONE:
        if getattr(made, key) < 1:
            raise OptionError(_("{key} is {value}; use 1 or more").format(key=key, value=getattr(made, key)))
    for key, value in made._asdict().items():
        if isinstance(value, int | float) and not 0 <= value < float("inf"):
            raise OptionError(_("{key} is {value}; use 0 or more").format(key=key, value=value))
    if made.crop == 0 or made.average == 1:
        raise OptionError(_("crop must be above 0 and average below 1; use 1 and 0 to switch them off"))
    if made.batch < 2:
        raise OptionError(_("batch is 1; a contrastive loss compares pictures, use 2 or more"))
    if made.image_tower == made.text_tower == "locked":
        raise OptionError(_("image_tower and text_tower are both locked; let one of them learn"))

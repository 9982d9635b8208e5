"""Reads ``model.json``, strictly: a model folder is either wholly understood or refused with one line."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from retrieval.config import ModelSpec, Preprocessing
from retrieval.errors import ModelError, ModelNotFound
from retrieval.messages import N_, _, reason_of, retold

FORMAT = 1
_RESIZE = ("squash", "crop", "pad")
_INTERPOLATION = ("bilinear", "bicubic", "lanczos", "nearest")
_PADDING = ("longest", "max")
_MOST_CELLS = 256


@dataclass(frozen=True, slots=True)
class TextHandling:
    """How words become token ids. ``context_length`` is in tokens and counts the special ones."""

    context_length: int
    padding: Literal["longest", "max"]
    pad_id: int
    lowercase: bool
    languages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model folder as its ``model.json`` describes it; ``files`` maps file names to SHA-256 (hex).

    ``image_weights`` and ``text_weights`` name the files of the towers' weights where these are not in the towers'.
    ``cells`` is (rows, columns) of the cells the image tower tells apart, None for a tower that tells none.
    """

    path: Path
    name: str
    version: str
    dim: int
    image_file: str
    text_file: str
    tokenizer_file: str
    preprocessing: Preprocessing
    text: TextHandling
    description: str
    knows: str
    files: dict[str, str]
    cells: tuple[int, int] | None = None
    image_weights: str | None = None
    text_weights: str | None = None

    @property
    def used_files(self) -> tuple[str, ...]:
        """The names of the files that vectors come from."""
        needed = (self.image_file, self.text_file, self.tokenizer_file)
        return (*needed, *filter(None, (self.image_weights, self.text_weights)))

    def spec(self, name: str) -> ModelSpec:
        """Return the identity of the model under ``name``.

        The digest is over the hashes ``model.json`` states, so it costs nothing at a start; ``check_files`` compares
        these with the files themselves.
        """
        used = {file: self.files[file] for file in self.used_files}
        digest = hashlib.sha256(json.dumps(sorted(used.values())).encode()).hexdigest()
        handling = asdict(self.text) | {"tokenizer": self.files[self.tokenizer_file]}
        del handling["languages"]
        text = json.dumps(handling, sort_keys=True)
        return ModelSpec(name, self.dim, digest, self.preprocessing, text=text, knows=self.knows)


def read_model_folder(folder: Path) -> ModelFolder:
    """Read and check ``folder/model.json``; the towers' files are not looked at before they are needed.

    Raises:
        ModelNotFound: there is no such folder, or no model.json in it.
        ModelError: model.json is of another format, or a key is missing or of the wrong kind.
    """
    path = folder / "model.json"
    try:
        data = json.loads(path.read_bytes())
    except FileNotFoundError:
        if folder.is_dir():
            said = _("{folder} holds no model.json; name a folder that holds a model")
        else:
            said = _("there is no model folder {folder}; name a folder that holds a model")
        raise ModelNotFound(said.format(folder=folder)) from None
    except (OSError, ValueError) as error:
        raise ModelError(
            _("{path} cannot be read ({reason}); bring back the original file").format(
                path=path, reason=_one_line(error)
            )
        ) from None
    reader = _Reader(path, data)
    number = reader.value("format", int)
    if number > FORMAT:
        raise ModelError(
            _("{path} is of format {number}, this version reads {known}; update sightseek").format(
                path=path, number=number, known=FORMAT
            )
        )
    if number != FORMAT:
        raise ModelError(
            _("{path} is of format {number}, this version reads {known}; bring back the original file").format(
                path=path, number=number, known=FORMAT
            )
        )
    found = _build(folder, reader)
    for file in found.used_files:
        if file not in found.files:
            raise reader.wrong(_("files lacks the SHA-256 of {file}").format(file=file))
    return found


def check_files(folder: Path) -> list[str]:
    """Compare the files of a model folder with the SHA-256 in its model.json.

    Returns one line for each file that is missing or differs; an empty list when all is well.

    Raises:
        ModelError: model.json cannot be read (ModelNotFound when it is not there).
    """
    problems = []
    for file, wanted in sorted(read_model_folder(folder).files.items()):
        path = folder / file
        try:
            found = digest_of(path)
        except OSError as error:
            problems.append(
                _("{path} cannot be read ({reason}); install the model again").format(
                    path=path, reason=reason_of(error)
                )
            )
            continue
        if found != wanted:
            problems.append(
                _("{path} is not the file model.json names (SHA-256 differs); install the model again").format(
                    path=path
                )
            )
    return problems


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hex.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def missing_file(path: Path) -> ModelError:
    """Return the error for a file of a model folder that is not there."""
    return ModelError(_("{path} is missing; install the model again").format(path=path))


def _build(folder: Path, reader: "_Reader") -> ModelFolder:
    image, text = reader.part("image"), reader.part("text")
    files = reader.value("files", dict)
    if not all(isinstance(key, str) and isinstance(value, str) for key, value in files.items()):
        raise reader.wrong(_("files does not map names to SHA-256"))
    return ModelFolder(
        path=folder,
        name=reader.value("name", str),
        version=reader.value("version", str),
        dim=reader.size("dim"),
        image_file=image.file("file"),
        text_file=text.file("file"),
        tokenizer_file=text.file("tokenizer"),
        preprocessing=Preprocessing(
            height=image.size("height"),
            width=image.size("width"),
            resize=image.choice("resize", _RESIZE),
            interpolation=image.choice("interpolation", _INTERPOLATION),
        ),
        text=TextHandling(
            context_length=text.size("context_length"),
            padding=text.choice("padding", _PADDING),
            pad_id=text.value("pad_id", int),
            lowercase=text.value("lowercase", bool),
            languages=tuple(str(language) for language in text.value("languages", list)),
        ),
        description=reader.value("description", str),
        knows=reader.value("knows", str),
        files=files,
        cells=image.pair("cells"),
        image_weights=image.file_if_any("weights"),
        text_weights=text.file_if_any("weights"),
    )


class _Reader:
    """Takes values out of parsed JSON and refuses what is missing or of the wrong kind."""

    def __init__(self, path: Path, data: object, where: str = "") -> None:
        self._path, self._where = path, where
        if not isinstance(data, dict):
            raise self.wrong(_("{key} is not an object").format(key=where.rstrip(".") or _("its content")))
        self._data: dict[str, Any] = data

    def wrong(self, what: str) -> ModelError:
        return ModelError(_("{path}: {what}; bring back the original file").format(path=self._path, what=what))

    def part(self, key: str) -> "_Reader":
        return _Reader(self._path, self.value(key, dict), f"{key}.")

    def value(self, key: str, kind: type) -> Any:  # noqa: ANN401 - the caller names the kind
        if key not in self._data:
            raise self.wrong(_("{key} is missing").format(key=self._where + key))
        found = self._data[key]
        if not isinstance(found, kind) or (kind is int and isinstance(found, bool)):
            raise self.wrong(
                _("{key} is {found!r:.60}, not {kind}").format(
                    key=self._where + key, found=found, kind=retold(_KINDS[kind])
                )
            )
        return found

    def size(self, key: str) -> int:
        found: int = self.value(key, int)
        if found < 1:
            raise self.wrong(_("{key} is {found}, not 1 or more").format(key=self._where + key, found=found))
        return found

    def pair(self, key: str) -> tuple[int, int] | None:
        """Two sizes, or None when the key is not there."""
        if key not in self._data:
            return None
        found = self.value(key, list)
        if len(found) != 2 or not all(type(size) is int and 1 <= size <= _MOST_CELLS for size in found):
            raise self.wrong(
                _("{key} is {found!r:.60}, not two sizes of 1 to {most}").format(
                    key=self._where + key, found=found, most=_MOST_CELLS
                )
            )
        return found[0], found[1]

    def choice(self, key: str, choices: tuple[str, ...]) -> Any:  # noqa: ANN401 - a Literal of the choices
        found = self.value(key, str)
        if found not in choices:
            raise self.wrong(
                _("{key} is {found!r:.60}, not one of {names}").format(
                    key=self._where + key, found=found, names=", ".join(choices)
                )
            )
        return found

    def file(self, key: str) -> str:
        found: str = self.value(key, str)
        if Path(found).name != found:
            raise self.wrong(
                _("{key} is {found!r:.60}, not the name of a file beside it").format(key=self._where + key, found=found)
            )
        return found

    def file_if_any(self, key: str) -> str | None:
        """As :meth:`file`, or None when the key is not there."""
        return self.file(key) if key in self._data else None


_KINDS = {
    int: N_("a whole number"),
    str: N_("text"),
    bool: N_("true or false"),
    dict: N_("an object"),
    list: N_("a list"),
}


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())

"""Names of OpenCLIP models, read without importing any of it."""

from pathlib import Path
from typing import NamedTuple

from retrieval.errors import ModelNotFound
from retrieval.messages import _

HUB = "hf-hub:"
SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")


class ClipName(NamedTuple):
    """What ``--model`` names: an architecture with published weights (``tag``), a checkpoint, a hub name or a folder.

    ``text`` is the name as it is kept in a collection: paths in it are absolute.
    """

    text: str
    arch: str = ""
    tag: str = ""
    file: Path | None = None
    hub: str = ""
    folder: Path | None = None


def parse_name(model: str) -> ClipName:
    """Read ``ARCH/TAG``, ``ARCH@FILE``, ``ARCH/TAG@FILE`` (preprocessing of TAG), ``hf-hub:org/name`` or a folder.

    Raises:
        ModelNotFound: the name is of none of these forms, or FILE is not there.
    """
    if model.startswith(HUB):
        hub = model.removeprefix(HUB)
        if hub.count("/") != 1 or not all(hub.split("/")):
            raise ModelNotFound(
                _("{model} is not a name of the hub; write {hub}ORGANISATION/NAME").format(model=model, hub=HUB)
            )
        return ClipName(model, hub=hub)
    path = Path(model)
    if path.is_absolute() and path.is_dir():
        return ClipName(model, folder=path)
    before, at, after = model.partition("@")
    arch, _slash, tag = before.partition("/")
    if at:
        return _checkpoint(model, arch, tag, Path(after).expanduser())
    if not arch or not tag or "/" in tag:
        raise ModelNotFound(
            _(
                "there is no model {model!r}; name starter, a model folder, ARCH/TAG or ARCH@FILE "
                "(see: sightseek models list)"
            ).format(model=model)
        )
    return ClipName(model, arch=arch, tag=tag)


def _checkpoint(model: str, arch: str, tag: str, file: Path) -> ClipName:
    if not arch:
        raise ModelNotFound(
            _("{model!r} names no architecture; write ARCH@FILE, such as ViT-B-32@{name}").format(
                model=model, name=file.name
            )
        )
    if not file.is_file():
        raise ModelNotFound(
            _("there is no checkpoint {file}; give the path of a .safetensors or .pt file").format(file=file.absolute())
        )
    if file.suffix not in SUFFIXES:
        raise ModelNotFound(
            _("{file} is not a checkpoint this reads; use a file that ends in {names}").format(
                file=file, names=", ".join(SUFFIXES)
            )
        )
    file = file.resolve()
    named = f"{arch}/{tag}@{file}" if tag else f"{arch}@{file}"
    return ClipName(named, arch=arch, tag=tag, file=file)

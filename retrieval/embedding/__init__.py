"""Embedders: pictures and words to vectors of one space. Nothing heavy is imported before a model is opened."""

from pathlib import Path

from retrieval.config import DEFAULT_MODEL, Device, ModelSpec
from retrieval.embedding.base import Embedder
from retrieval.embedding.folder import check_files
from retrieval.errors import ModelMismatch, ModelNotFound
from retrieval.messages import _

__all__ = ["Embedder", "check_files", "embedder_for", "model_folder", "open_embedder"]

_STARTER = Path(__file__).resolve().parent.parent / "models" / DEFAULT_MODEL


def open_embedder(
    model: str = DEFAULT_MODEL, device: Device = "auto", threads: int = 0, *, briefly: bool = False
) -> Embedder:
    """Open a model by name; weights are loaded when first needed, and nothing is ever downloaded.

    ``model`` is ``starter`` (built in), a folder that holds ``model.json`` or ``open_clip_config.json``, ``ARCH/TAG``
    or ``hf-hub:org/name`` of OpenCLIP, or ``ARCH@FILE`` for a checkpoint at hand. ``threads`` 0 means one for each
    processor. ``briefly`` is for a process that embeds the words of a query and ends: the text tower of a folder is
    read at once, on a thread of its own, and is slower from then on.

    Raises:
        ModelNotFound: there is no such model, its weights are not on this machine, or it needs the extra ``clip``.
        ModelError: the model is there and cannot be used.
    """
    folder = model_folder(model)
    if folder is not None and not (folder / "open_clip_config.json").is_file():
        from retrieval.embedding.onnx import OnnxEmbedder

        name = model if model == DEFAULT_MODEL else str(folder)
        return OnnxEmbedder(folder, name, device, threads, briefly=briefly)
    from retrieval.embedding.names import parse_name

    clip_name = parse_name(model if folder is None else str(folder))
    from retrieval.embedding.openclip import OpenClipEmbedder

    return OpenClipEmbedder(clip_name, device, threads)


def embedder_for(spec: ModelSpec, device: Device = "auto", threads: int = 0, *, briefly: bool = False) -> Embedder:
    """Open again the model that made a collection; for the rest see ``open_embedder``.

    Raises:
        ModelMismatch: what is under that name today gives other vectors.
        ModelNotFound: it is no longer there.
    """
    found = open_embedder(spec.name, device, threads, briefly=briefly)
    if found.spec.fingerprint() != spec.fingerprint():
        raise ModelMismatch(
            _(
                "model {name} has changed since the collection was made; bring back its old files, "
                "or embed anew with: sightseek index --model {name} --reembed"
            ).format(name=spec.name)
        )
    return found


def model_folder(model: str) -> Path | None:
    """Return the absolute folder that ``model`` names, or None when it is the name of an OpenCLIP model.

    Raises:
        ModelNotFound: ``model`` can only be a folder and there is none.
    """
    if model == DEFAULT_MODEL:
        if not (_STARTER / "model.json").is_file():
            raise ModelNotFound(_("the built-in model is missing from this installation; install sightseek again"))
        return _STARTER
    path = Path(model).expanduser()
    if path.is_dir():
        return path.resolve()
    if model.startswith(("/", "./", "../", "~")) and "@" not in model:
        raise ModelNotFound(
            _("there is no model folder {path}; name a folder that holds model.json").format(path=path.absolute())
        )
    return None

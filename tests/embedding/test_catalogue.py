import hashlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from retrieval.embedding import open_embedder
from retrieval.embedding.catalogue import list_models, prepare
from retrieval.embedding.recommended import RECOMMENDED
from retrieval.errors import ModelNotFound
from tests.embedding.clip_makers import write_clip_folder


def test_the_list_names_what_can_be_opened():
    rows = {row.name: row for row in list_models()}
    assert rows["ViT-B-32/laion2b_s34b_b79k"].dim == 512
    assert rows["ViT-B-32/laion2b_s34b_b79k"].figures.flickr30k_text_to_image == 66.8
    assert "OpenCLIP" in rows["ViT-B-16-SigLIP/webli"].figures.source
    if "starter" in rows:
        assert rows["starter"].here
        assert rows["starter"].size_mb < 64


def test_the_list_agrees_with_openclip():
    open_clip = pytest.importorskip("open_clip", reason="the extra clip is not installed")
    for row in RECOMMENDED:
        arch, tag = row.name.split("/")
        assert open_clip.get_pretrained_cfg(arch, tag)["hf_hub"] == row.hub
        assert open_clip.get_model_config(arch)["embed_dim"] == row.dim


@pytest.mark.usefixtures("hub")
def test_what_is_not_here_is_marked_so():
    assert not any(row.here for row in list_models() if row.name != "starter")


@pytest.mark.usefixtures("hub")
def test_preparing_offline_says_in_one_line_how_to_do_without():
    pytest.importorskip("open_clip", reason="the extra clip is not installed")
    said: list[str] = []
    begun = time.monotonic()
    with pytest.raises(ModelNotFound) as caught:
        prepare("ViT-B-32/laion2b_s34b_b79k", said.append)
    assert time.monotonic() - begun < 20
    message = str(caught.value)
    assert "\n" not in message
    assert "http://127.0.0.1:9 cannot be reached" in message
    assert "--model 'ViT-B-32/laion2b_s34b_b79k@FILE'" in message
    assert said == []


def test_what_is_at_hand_needs_no_preparation(tiny_folder: Path, tmp_path: Path):
    said: list[str] = []
    assert prepare(str(tiny_folder), said.append) == tiny_folder
    (tmp_path / "w.pt").write_bytes(b"")
    assert prepare(f"ViT-B-32@{tmp_path / 'w.pt'}", said.append) == tmp_path / "w.pt"
    assert len(said) == 2
    with pytest.raises(ModelNotFound, match="ARCH/TAG"):
        prepare("nonsense", said.append)


@pytest.fixture
def small_hub(hub, tmp_path: Path) -> Iterator[list[str]]:
    """A hub on this machine that holds one small model; yields the requests it got."""
    pytest.importorskip("open_clip", reason="the extra clip is not installed")
    folder = write_clip_folder(tmp_path / "served")
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, body: bool) -> None:
            asked.append(f"{self.command} {self.path}")
            file = folder / self.path.rsplit("/", 1)[-1]
            if not self.path.startswith("/someone/model/resolve/main/") or not file.is_file():
                self.send_response(404)
                self.send_header("X-Error-Code", "EntryNotFound")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            data = file.read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
            self.send_header("X-Repo-Commit", "1" * 40)
            self.end_headers()
            if body:
                self.wfile.write(data)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    hub(f"http://127.0.0.1:{server.server_port}")
    yield asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_preparing_fetches_once_and_says_so_before(small_hub: list[str]):
    said: list[str] = []

    def report(line: str) -> None:
        said.append(line)
        assert not any(asked.startswith("GET /someone") for asked in small_hub)

    with pytest.raises(ModelNotFound, match="models prepare"):
        open_embedder("hf-hub:someone/model")
    assert small_hub == []
    weights = prepare("hf-hub:someone/model", report)
    assert len(said) == 1
    assert "hf-hub:someone/model (14 MB)" in said[0]
    assert weights.name == "open_clip_model.safetensors"
    embedder = open_embedder("hf-hub:someone/model", "cpu")
    asked = len(small_hub)
    assert embedder.embed_texts(["a dog"]).shape == (1, 32)
    assert len(small_hub) == asked
    prepare("hf-hub:someone/model", said.append)
    assert "already here" in said[-1]
    assert sum(line.startswith("GET /someone") for line in small_hub) == 2
    with pytest.raises(ModelNotFound, match="answers 404"):
        prepare("hf-hub:someone/other", said.append)

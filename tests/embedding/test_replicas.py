"""Several devices side by side, as on a machine with several GPUs; here each of them is the processor."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from retrieval.embedding.names import parse_name
from retrieval.embedding.replicas import MOST_ON_A_DEVICE, Replicas, fitting, precision_of
from retrieval.errors import ModelError
from tests.embedding.clip_makers import write_clip_folder

pytest.importorskip("open_clip", reason="the extra clip is not installed")
torch = pytest.importorskip("torch", reason="the extra clip is not installed")

from retrieval.embedding.openclip import OpenClipEmbedder  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip_folder(tmp_path_factory.mktemp("clip") / "small")


def embedder_on(folder: Path, *devices: str) -> OpenClipEmbedder:
    return OpenClipEmbedder(parse_name(str(folder)), "cpu", devices=devices)


def noise(count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (count, 32, 32, 3), np.uint8)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 16, 17])
def test_many_devices_give_what_one_gives_in_its_order(folder: Path, count: int) -> None:
    one, three = embedder_on(folder, "cpu"), embedder_on(folder, "cpu", "cpu", "cpu")
    vectors = three.embed_pixels(noise(count))
    assert vectors.shape == (count, 32)
    np.testing.assert_allclose(vectors, one.embed_pixels(noise(count)), atol=1e-5)
    np.testing.assert_allclose(three.embed_texts(["a dog"]), one.embed_texts(["a dog"]), atol=1e-5)


class Small:
    """A real tower on a device whose memory holds ``room`` pictures."""

    def __init__(self, room: int) -> None:
        self.room, self.seen = room, []

    def encode_image(self, x: "torch.Tensor") -> "torch.Tensor":
        self.seen.append(len(x))
        if len(x) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return x.flatten(1)[:, :5] + 1.0


def replicas(folder: Path, *towers: Small) -> Replicas:
    return Replicas(["cpu"] * len(towers), towers, embedder_on(folder, "cpu").spec, "fp32")


def test_where_memory_runs_out_less_is_given_at_a_time_from_then_on(folder: Path) -> None:
    roomy, tight = replicas(folder, Small(99)), Small(3)
    made = replicas(folder, tight)
    np.testing.assert_array_equal(made.run(noise(16)), roomy.run(noise(16)))
    assert made.most == 2
    tight.seen.clear()
    made.run(noise(5))
    assert tight.seen == [2, 2, 1]


def test_the_smallest_of_several_devices_decides(folder: Path) -> None:
    made = replicas(folder, Small(99), Small(4))
    np.testing.assert_array_equal(made.run(noise(20)), replicas(folder, Small(99)).run(noise(20)))
    assert made.most is not None
    assert made.most <= 4


def test_a_device_that_cannot_take_one_picture_is_said(folder: Path) -> None:
    with pytest.raises(ModelError, match="--device cpu"):
        replicas(folder, Small(0)).run(noise(4))


def test_the_memory_decides_how_many_pictures_fit() -> None:
    assert fitting(8 << 30, 20e6) == 256
    assert fitting(80 << 30, 20e6) == MOST_ON_A_DEVICE
    assert fitting(1 << 20, 20e6) == 1
    assert fitting(0, 0.0) == 1


def test_half_precision_only_where_all_devices_are_fast_with_it() -> None:
    assert precision_of([(8, 0)]) == "fp16"
    assert precision_of([(7, 0), (9, 0)]) == "fp16"
    assert precision_of([(6, 1), (8, 6)]) == "fp32"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_cuda_gives_nearly_what_the_processor_gives(folder: Path) -> None:
    here, there = embedder_on(folder, "cpu"), OpenClipEmbedder(parse_name(str(folder)), "cuda")
    cosines = (here.embed_pixels(noise(40)) * there.embed_pixels(noise(40))).sum(axis=1)
    assert cosines.min() > 0.999

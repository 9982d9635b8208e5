"""Writes the tables of speed in the README and in docs/speed.md from what the benchmarks printed.

    python -m benchmarks.table

The results are in `benchmarks/results/`, one file a benchmark (`python -m benchmarks.everything` writes them). Each row
names its files; a row without them is left out.
"""
# ruff: noqa: E501 - sentences are kept whole where they can be

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.everything import RESULTS

PROJECT = Path(__file__).parent.parent
BEGIN, END = "<!-- figures: python -m benchmarks.table -->", "<!-- end of figures -->"


class Row(NamedTuple):
    """What was asked, what was found (formats filled from the results), and by which script.

    ``aim`` is what is wanted of the figure that stands first.
    """

    english: tuple[str, str]
    chinese: tuple[str, str]
    aim: str
    script: str


HEADINGS = {False: "| question | figure | aim | script |", True: "| 问题 | 结果 | 目标 | 脚本 |"}
ROWS: tuple[Row, ...] = (
    Row(
        ("indexing {pipeline[files]:,} photographs with the starter",
         "{pipeline[ratio]:.2f} times what {pipeline[cores]} processors need that decode and embed and never wait; "
         "{pipeline[resident_mb]:.0f} MB"),
        ("用 starter 索引 {pipeline[files]:,} 张照片",
         "为 {pipeline[cores]} 个只解码和计算、从不等待的处理器所需时间的 {pipeline[ratio]:.2f} 倍；"
         "{pipeline[resident_mb]:.0f} MB"),
        "≤ 1.15", "pipeline FOLDER",
    ),
    Row(
        ("indexing {large_pictures[files]} photographs of 12 megapixels",
         "{large_pictures[ratio]:.2f} times that limit"),
        ("索引 {large_pictures[files]} 张 1200 万像素的照片", "为该下限的 {large_pictures[ratio]:.2f} 倍"),
        "≤ 1.15", "large_pictures FOLDER",
    ),
    Row(
        ("the same with ViT-B-32-256 (ONNX)", "{large_pictures_vit[ratio]:.2f} times that limit"),
        ("同上，ViT-B-32-256（ONNX）", "为该下限的 {large_pictures_vit[ratio]:.2f} 倍"),
        "≤ 1.15", "large_pictures FOLDER --model DIR",
    ),
    Row(
        ("indexing {pipeline_vit[files]:,} photographs with ViT-B-32-256 (ONNX)",
         "{pipeline_vit[ratio]:.2f} times that limit"),
        ("用 ViT-B-32-256（ONNX）索引 {pipeline_vit[files]:,} 张照片", "为该下限的 {pipeline_vit[ratio]:.2f} 倍"),
        "≤ 1.15", "pipeline FOLDER --model DIR",
    ),
    Row(
        ("{peers[large][files]} photographs of 12 megapixels, the same weights in rclip {peers[versions_of_peers][rclip]}",
         "{peers[large][rate_to_rclip]:.2f} times its pictures a second"),
        ("{peers[large][files]} 张 1200 万像素的照片，与使用同样权重的 rclip {peers[versions_of_peers][rclip]} 相比",
         "每秒图片数为其 {peers[large][rate_to_rclip]:.2f} 倍"),
        "≥ 2", "peers FOLDER --model DIR --large FOLDER",
    ),
    Row(
        ("{peers[indexing][files]:,} photographs, the same weights in rclip and in clip-retrieval "
         "{peers[versions_of_peers][clip-retrieval]}",
         "{peers[indexing][rate_to_rclip]:.2f} and {peers[indexing][rate_to_clip-retrieval]:.2f} times their pictures a "
         "second, {peers[indexing][memory_to_rclip]:.2f} and {peers[indexing][memory_to_clip-retrieval]:.2f} times their "
         "memory"),
        ("{peers[indexing][files]:,} 张照片，与使用同样权重的 rclip 和 clip-retrieval "
         "{peers[versions_of_peers][clip-retrieval]} 相比",
         "每秒图片数为其 {peers[indexing][rate_to_rclip]:.2f} 倍和 {peers[indexing][rate_to_clip-retrieval]:.2f} 倍，内存为其 "
         "{peers[indexing][memory_to_rclip]:.2f} 倍和 {peers[indexing][memory_to_clip-retrieval]:.2f} 倍"),
        "≥ 1, ≥ 1.5; ≤ 1", "peers FOLDER --model DIR",
    ),
    Row(
        ("both with sightseek's image tower in eight bits (`models export --int8`), theirs as before",
         "{peers[large][int8_rate_to_rclip]:.2f} times rclip's pictures a second of 12 megapixels; of the photographs "
         "{peers[indexing][int8_rate_to_rclip]:.2f} and {peers[indexing][int8_rate_to_clip-retrieval]:.2f} times theirs"),
        ("以上两项，sightseek 的图像塔用八位整数（`models export --int8`），对方不变",
         "1200 万像素的照片每秒为 rclip 的 {peers[large][int8_rate_to_rclip]:.2f} 倍；普通照片为两者的 "
         "{peers[indexing][int8_rate_to_rclip]:.2f} 倍和 {peers[indexing][int8_rate_to_clip-retrieval]:.2f} 倍"),
        "≥ 2; ≥ 1, ≥ 1.5", "peers FOLDER --model DIR --int8 DIR --large FOLDER",
    ),
    Row(
        ("what eight bits cost: {eight_bits[recall][queries]:,} captions of Flickr8k {eight_bits[recall][split]}, a "
         "trained text transformer in eight bits, and the gain of ViT-B-32-256's image tower",
         "R@10 {eight_bits[recall][int8][R@10]:.1f} % for {eight_bits[recall][single][R@10]:.1f} %; "
         "{eight_bits[speed][int8_to_single]:.1f} times the pictures a second"),
        ("八位整数的代价：Flickr8k {eight_bits[recall][split]} 的 {eight_bits[recall][queries]:,} 条说明，训练过的文本 Transformer "
         "用八位整数；以及 ViT-B-32-256 图像塔的收益",
         "R@10 由 {eight_bits[recall][single][R@10]:.1f} % 变为 {eight_bits[recall][int8][R@10]:.1f} %；每秒图片数为 "
         "{eight_bits[speed][int8_to_single]:.1f} 倍"),
        "", "eight_bits FLICKR8K --single DIR --int8 DIR",
    ),
    Row(
        ("one text query in a new process, 8,086 items",
         "{cold_search[search_8086_s]:.2f} s, {cold_search[search_8086_to_floor]:.2f} times numpy, ONNX Runtime, text "
         "tower and one run"),
        ("新进程中的一次文字查询，8,086 个条目",
         "{cold_search[search_8086_s]:.2f} 秒，为 numpy、ONNX Runtime、文本塔加一次运行的 "
         "{cold_search[search_8086_to_floor]:.2f} 倍"),
        "≤ 1.25", "cold_search COLLECTION...",
    ),
    Row(
        ("the same over 100,000 items and over 1,000",
         "{cold_search[search_100000_s]:.2f} s and {cold_search[search_1000_s]:.2f} s"),
        ("同上，100,000 个条目与 1,000 个条目",
         "{cold_search[search_100000_s]:.2f} 秒与 {cold_search[search_1000_s]:.2f} 秒"),
        "≤ 1.15 times", "cold_search COLLECTION...",
    ),
    Row(
        ("the same with ViT-B-32-256, and `--help`, beside rclip's",
         "{peers[searching][search_to_rclip]:.2f} and {peers[searching][help_to_rclip]:.2f} times its time"),
        ("同上，用 ViT-B-32-256；以及 `--help`：与 rclip 相比",
         "为其用时的 {peers[searching][search_to_rclip]:.2f} 倍和 {peers[searching][help_to_rclip]:.2f} 倍"),
        "≤ 0.6, ≤ 0.15", "peers FOLDER --model DIR --collection COLLECTION",
    ),
    Row(
        ("one text query in a running process, {warm_search[items]:,} items",
         "{warm_search[query_ms]:.1f} ms, {warm_search[query_to_floor]:.2f} times embedding the text and asking FAISS; the "
         "slowest in a hundred of 8 clients at once {warm_search[slow_to_median]:.2f} times the median"),
        ("运行中的进程里的一次文字查询，{warm_search[items]:,} 个条目",
         "{warm_search[query_ms]:.1f} 毫秒，为计算文字向量加查询 FAISS 的 {warm_search[query_to_floor]:.2f} 倍；8 个客户端同时查询时，"
         "最慢的百分之一为中位数的 {warm_search[slow_to_median]:.2f} 倍"),
        "≤ 1.5, ≤ 3", "warm_search COLLECTION",
    ),
    Row(
        ("a run in which none of {unchanged[files]:,} files changed",
         "{unchanged[index_s]:.2f} s, {unchanged[index_to_walk]:.2f} times a bare walk; {peers[unchanged][to_rclip]:.3f} "
         "times rclip's"),
        ("{unchanged[files]:,} 个文件都没有变化的一次运行",
         "{unchanged[index_s]:.2f} 秒，为单纯遍历的 {unchanged[index_to_walk]:.2f} 倍；为 rclip 的 "
         "{peers[unchanged][to_rclip]:.3f} 倍"),
        "≤ 3, ≤ 0.2", "unchanged",
    ),
    Row(
        ("{index_kinds[count]:,} vectors of {index_kinds[dim]}, one thread: the ten nearest of texts and of pictures",
         "{index_kinds[ivfpq][text][recall@10]:.1f} % and {index_kinds[ivfpq][picture][recall@10]:.1f} % of them, "
         "{index_kinds[ivfpq][text][faster_than_flat]:.0f} and {index_kinds[ivfpq][picture][faster_than_flat]:.0f} times "
         "as fast as comparing all; {index_kinds[ivfpq][anonymous_mb]:.0f} MB of memory; adding 1,000 takes "
         "{index_kinds[ivfpq][add_1000_s]:.2f} s"),
        ("{index_kinds[count]:,} 个 {index_kinds[dim]} 维向量，单线程：文字与图片的最近十个",
         "找到其中的 {index_kinds[ivfpq][text][recall@10]:.1f} % 和 {index_kinds[ivfpq][picture][recall@10]:.1f} %，速度为逐一比较的 "
         "{index_kinds[ivfpq][text][faster_than_flat]:.0f} 倍和 {index_kinds[ivfpq][picture][faster_than_flat]:.0f} 倍；内存 "
         "{index_kinds[ivfpq][anonymous_mb]:.0f} MB；添加 1,000 个用时 {index_kinds[ivfpq][add_1000_s]:.2f} 秒"),
        "≥ 98 %, ≥ 20, ≤ 700 MB, < 2 s", "index_kinds FOLDER",
    ),
)  # fmt: skip


DETAILS: tuple[Row, ...] = (
    Row(
        ("time to write an item to the catalog and its index", "slope {growth[slopes][written_s]:.2f}"),
        ("把一个条目写入目录及索引的时间", "斜率 {growth[slopes][written_s]:.2f}"),
        "1.0 ± 0.05", "growth FOLDER",
    ),
    Row(
        ("time to index a picture (a tiny model, {memory[rows][0][files]:,} to {memory[rows][1][files]:,} pictures)",
         "slope {memory[processor_slope]:.2f} (processor), {memory[time_slope]:.2f} (clock)"),
        ("索引一张图片的时间（很小的模型，{memory[rows][0][files]:,} 到 {memory[rows][1][files]:,} 张图片）",
         "斜率 {memory[processor_slope]:.2f}（处理器时间）、{memory[time_slope]:.2f}（时钟时间）"),
        "1.0 ± 0.05", "memory",
    ),
    Row(
        ("memory of that, less the index", "{memory[memory_ratio]:.2f} times with the most pictures"),
        ("上述过程的内存（不含索引）", "图片最多时为 {memory[memory_ratio]:.2f} 倍"),
        "≤ 1.1", "memory",
    ),
    Row(
        ("one exact query: words, picture",
         "slopes {growth[slopes][exact text_ms]:.2f}, {growth[slopes][exact picture_ms]:.2f}"),
        ("一次精确查询：文字、图片",
         "斜率 {growth[slopes][exact text_ms]:.2f}、{growth[slopes][exact picture_ms]:.2f}"),
        "≤ 1.0", "growth FOLDER",
    ),
    Row(
        ("one query of the approximate index: words, picture",
         "slopes {growth[slopes][ivfpq text_ms]:.2f}, {growth[slopes][ivfpq picture_ms]:.2f}"),
        ("近似索引的一次查询：文字、图片",
         "斜率 {growth[slopes][ivfpq text_ms]:.2f}、{growth[slopes][ivfpq picture_ms]:.2f}"),
        "≤ 0.5", "growth FOLDER",
    ),
    Row(
        ("IVF-PQ beside usearch and hnswlib at no less recall, {index_peers[count]:,} vectors: one query, a batch",
         "{index_peers[ivfpq][beside][usearch][faster_than][single_ms]:.2f} and "
         "{index_peers[ivfpq][beside][hnswlib][faster_than][single_ms]:.2f} times their speed, "
         "{index_peers[ivfpq][beside][usearch][faster_than][batch_ms_each]:.2f} and "
         "{index_peers[ivfpq][beside][hnswlib][faster_than][batch_ms_each]:.2f}; {index_peers[ivfpq][memory_mb]:.0f} MB "
         "for {index_peers[usearch][memory_mb]:.0f} and {index_peers[hnswlib][memory_mb]:.0f}"),
        ("IVF-PQ 与召回率不低于它的 usearch、hnswlib 相比，{index_peers[count]:,} 个向量：单个查询、成批查询",
         "速度为其 {index_peers[ivfpq][beside][usearch][faster_than][single_ms]:.2f} 倍和 "
         "{index_peers[ivfpq][beside][hnswlib][faster_than][single_ms]:.2f} 倍，成批为 "
         "{index_peers[ivfpq][beside][usearch][faster_than][batch_ms_each]:.2f} 倍和 "
         "{index_peers[ivfpq][beside][hnswlib][faster_than][batch_ms_each]:.2f} 倍；内存 "
         "{index_peers[ivfpq][memory_mb]:.0f} MB，对方为 {index_peers[usearch][memory_mb]:.0f} 和 "
         "{index_peers[hnswlib][memory_mb]:.0f} MB"),
        "≥ 1", "index_peers FOLDER",
    ),
)  # fmt: skip
TABLES = {
    "README.md": (ROWS, False),
    "README.zh.md": (ROWS, True),
    "docs/speed.md": (DETAILS, False),
    "docs/speed.zh.md": (DETAILS, True),
}
"""By file: the rows, and whether it is in Chinese."""


def results() -> dict[str, Any]:
    """Return what is in the results, by the names of the files."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("*.json"))}


def lines(name: str, found: dict[str, Any]) -> Iterator[str]:
    """Give the lines of the table of one file."""
    rows, chinese = TABLES[name]
    yield HEADINGS[chinese]
    yield "|---|---|---|---|"
    for row in rows:
        question, figure = row.chinese if chinese else row.english
        try:
            cells = [text.format_map(found) for text in (question, figure)]
        except (KeyError, IndexError, TypeError):  # not measured, or a peer that was not there
            continue
        yield f"| {cells[0]} | {cells[1]} | {row.aim} | `python -m benchmarks.{row.script}` |"


def filled(name: str, text: str, found: dict[str, Any]) -> str:
    """Return a file's text with its table as the results say.

    Raises:
        ValueError: the lines between which the table stands are not there.
    """
    before, rest = text.split(BEGIN)
    _old, after = rest.split(END)
    return f"{before}{BEGIN}\n\n" + "\n".join(lines(name, found)) + f"\n\n{END}{after}"


def main() -> None:
    """Write the tables."""
    for name in TABLES:
        path = PROJECT / name
        path.write_text(filled(name, path.read_text(encoding="utf-8"), results()), encoding="utf-8")


if __name__ == "__main__":
    main()

"""What devices reach by their makers' figures: memory bandwidth, dense peaks by arithmetic, last-level cache.

Reviewed by hand, with the source of each row. Dense means without structured sparsity: half of the figure that is
advertised with it. Where a device is faster with sums in 16 bits than in 32, the faster figure stands, since engines
use both. ``headroom`` is how far the clock may go beyond the one that the peaks are given at. A device that is
doubtful is not in the table: no limit is better than a wrong one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_WORD = re.compile(r"[a-z0-9]+")
_NOT_SAID = frozenset({"nvidia", "developer", "kit", "engineering", "reference"})
_BOOST = 1.15  # GeForce and RTX boards run their clocks up to 15 % above the boost clock of the data sheet
_SXM_BOOST = 1.09  # peaks at 1830 MHz, clocks up to 1980


@dataclass(frozen=True, slots=True, kw_only=True)
class Datasheet:
    """One device; ``names`` matches its whole identity in small letters, joined by ``-``, without its maker.

    ``bandwidth`` is in GB/s, peaks in TFLOP/s (TOP/s), the cache in MiB. ``most_memory`` (GB) tells devices apart that
    bear one name: the row holds up to there.
    """

    names: str
    title: str
    bandwidth: float
    cache_mib: float
    source: str
    fp32: float
    fp16: float
    bf16: float | None = None
    int8: float | None = None
    fp8: float | None = None
    fp4: float | None = None
    headroom: float = 1.0
    most_memory: float | None = None


def find(identity: str, memory_bytes: int | None = None) -> Datasheet | None:
    """Return the row of a device by the name that NVML or the device tree gives it, or by its slug."""
    words = "-".join(word for word in _WORD.findall(identity.lower()) if word not in _NOT_SAID)
    for row in DATASHEETS:
        fits = row.most_memory is None or (memory_bytes is not None and memory_bytes <= row.most_memory * 1e9)
        if fits and re.fullmatch(row.names, words):
            return row
    return None


_THOR = "NVIDIA Jetson Thor product page and module data sheets: 2070 (T4000: 1200) sparse FP4 TFLOPS, "
_THOR += "517 dense FP8, 273 GB/s; 20 (12) SMs at 1.575 (1.53) GHz; L2 as CUDA reports it on a T5000 (NVIDIA's forum), "
_THOR += "taken for the T4000 too, whose chip is the same"
_ORIN = (
    "NVIDIA Jetson Orin series data sheets and product page (GPU share of the TOPS, sparse figures halved), with the "
)
_ORIN += "clocks of the Super modes of JetPack 6.2 where there are any"
_HOPPER = "NVIDIA H100 Tensor Core GPU architecture white paper and data sheet; H200 data sheet"
_AMPERE = "NVIDIA A100 Tensor Core GPU architecture white paper and data sheet"
_ADA = "NVIDIA Ada GPU architecture white paper; L4, L40S and RTX 6000 Ada data sheets"
_GA102 = "NVIDIA Ampere GA102 GPU architecture white paper"
_TURING = "NVIDIA T4 data sheet (320 GB/s) and Turing GPU architecture white paper"
_BLACKWELL = "NVIDIA RTX Blackwell GPU architecture white paper; RTX PRO 6000 data sheet"
_GB200 = (
    "NVIDIA GB200 NVL72 and GB300 NVL72 product pages, per GPU, sparse figures halved; L2 as CUDA reports it on a B200"
)

DATASHEETS: tuple[Datasheet, ...] = (
    Datasheet(
        names=r"(jetson-)?(agx-)?t4000.*|jetson-thor-t4000",
        title="Jetson T4000",
        bandwidth=273,
        cache_mib=32,
        source=_THOR,
        fp32=4.8,
        fp16=150.5,
        bf16=150.5,
        int8=301,
        fp8=301,
        fp4=602,
    ),
    # Lower power modes lower the clocks; none is documented to raise one, so the figures of MAXN bound them all.
    Datasheet(
        names=r"(jetson-)?(agx-)?(thor|t5000)(-t5000)?",
        title="Jetson AGX Thor (T5000)",
        bandwidth=273,
        cache_mib=32,
        source=_THOR,
        fp32=8.1,
        fp16=258,
        bf16=258,
        int8=516,
        fp8=516,
        fp4=1032,
    ),
    Datasheet(
        names=r"jetson-agx-orin(-32gb)?",
        title="Jetson AGX Orin 32GB",
        bandwidth=204.8,
        cache_mib=4,
        source=_ORIN,
        fp32=3.4,
        fp16=27,
        bf16=27,
        int8=54,
        most_memory=36,
    ),
    Datasheet(
        names=r"jetson-agx-orin(-64gb)?",
        title="Jetson AGX Orin 64GB",
        bandwidth=204.8,
        cache_mib=4,
        source=_ORIN,
        fp32=5.4,
        fp16=42.6,
        bf16=42.6,
        int8=85.2,
    ),
    Datasheet(
        names=r"jetson-orin-nx(-8gb|-16gb)?(-super)?",
        title="Jetson Orin NX",
        bandwidth=102.4,
        cache_mib=4,
        source=_ORIN,
        fp32=2.4,
        fp16=19.3,
        bf16=19.3,
        int8=38.5,
    ),
    Datasheet(
        names=r"jetson-orin-nano(-4gb|-8gb)?(-super)?",
        title="Jetson Orin Nano",
        bandwidth=102.4,
        cache_mib=4,
        source=_ORIN,
        fp32=2.1,
        fp16=16.8,
        bf16=16.8,
        int8=33.5,
    ),
    Datasheet(
        names=r"gb10|dgx-spark",
        title="DGX Spark (GB10)",
        bandwidth=273,
        cache_mib=24,
        source="NVIDIA DGX Spark user guide: 273 GB/s (LPDDR5X-8533; the 301 of Hot Chips 2025 are at a speed that no "
        "product has), 1 PFLOP sparse FP4; Hot Chips 2025: 31 TFLOPS FP32, 24 MiB L2 (the 16 MiB system cache adds "
        "nothing to it for the GPU)",
        fp32=31,
        fp16=125,
        bf16=125,
        int8=250,
        fp8=250,
        fp4=500,
    ),
    Datasheet(
        names=r"a100-(sxm4|pcie)-40gb",
        title="A100 40GB",
        bandwidth=1555,
        cache_mib=40,
        source=_AMPERE,
        fp32=19.5,
        fp16=312,
        bf16=312,
        int8=624,
    ),
    Datasheet(
        names=r"a100-sxm4-80gb|a100-80gb-pcie",
        title="A100 80GB",
        bandwidth=2039,
        cache_mib=40,
        source=_AMPERE,
        fp32=19.5,
        fp16=312,
        bf16=312,
        int8=624,
    ),
    Datasheet(
        names=r"h100-80gb-hbm3",
        title="H100 SXM",
        bandwidth=3352,
        cache_mib=50,
        source=_HOPPER,
        fp32=66.9,
        fp16=989.4,
        bf16=989.4,
        int8=1979,
        fp8=1979,
        headroom=_SXM_BOOST,
    ),
    Datasheet(
        names=r"h100-pcie",
        title="H100 PCIe",
        bandwidth=2039,
        cache_mib=50,
        source=_HOPPER,
        fp32=51.2,
        fp16=756.4,
        bf16=756.4,
        int8=1513,
        fp8=1513,
        headroom=_BOOST,
    ),
    Datasheet(
        names=r"h100-nvl",
        title="H100 NVL",
        bandwidth=3938,
        cache_mib=50,
        source=_HOPPER,
        fp32=60,
        fp16=835.5,
        bf16=835.5,
        int8=1671,
        fp8=1671,
        headroom=_BOOST,
    ),
    Datasheet(
        names=r"h200",
        title="H200 SXM",
        bandwidth=4917,
        cache_mib=50,
        source=_HOPPER + " (4.8 TB/s; 6144 bits at 3201 MHz come to 4.917)",
        fp32=66.9,
        fp16=989.4,
        bf16=989.4,
        int8=1979,
        fp8=1979,
        headroom=_SXM_BOOST,
    ),
    Datasheet(
        names=r"h200-nvl",
        title="H200 NVL",
        bandwidth=4917,
        cache_mib=50,
        source=_HOPPER,
        fp32=60,
        fp16=835.5,
        bf16=835.5,
        int8=1671,
        fp8=1671,
        headroom=_BOOST,
    ),
    Datasheet(
        names=r"b200",
        title="B200",
        bandwidth=8000,
        cache_mib=126.5,
        source="NVIDIA DGX B200 and HGX B200 data sheets, per GPU, sparse figures halved (8 TB/s; boards with 7680 "
        "bits at 3996 MHz have 7.67); L2 as CUDA reports it",
        fp32=80,
        fp16=2250,
        bf16=2250,
        int8=4500,
        fp8=4500,
        fp4=9000,
        headroom=1.1,
    ),
    Datasheet(
        names=r"gb200",
        title="GB200",
        bandwidth=8000,
        cache_mib=126.5,
        source=_GB200,
        fp32=90,
        fp16=2500,
        bf16=2500,
        int8=5000,
        fp8=5000,
        fp4=10000,
        headroom=1.1,
    ),
    Datasheet(
        names=r"b300(-sxm6-ac)?|gb300",
        title="B300, GB300",
        bandwidth=8000,
        cache_mib=126.5,
        source=_GB200
        + "; of the B300 the figures of the faster GB300; its peak in whole numbers is below that of 16 bits",
        fp32=80,
        fp16=2500,
        bf16=2500,
        fp8=5000,
        fp4=15000,
        headroom=1.1,
    ),
    Datasheet(
        names=r"(tesla-)?t4",
        title="T4",
        bandwidth=320,
        cache_mib=4,
        source=_TURING,
        fp32=8.1,
        fp16=65,
        int8=130,
    ),
    Datasheet(
        names=r"l4",
        title="L4",
        bandwidth=300,
        cache_mib=48,
        source=_ADA,
        fp32=30.3,
        fp16=121,
        bf16=121,
        int8=242.5,
        fp8=242.5,
    ),
    Datasheet(
        names=r"l40s",
        title="L40S",
        bandwidth=864,
        cache_mib=96,
        source=_ADA,
        fp32=91.6,
        fp16=366.5,
        bf16=366.5,
        int8=733,
        fp8=733,
        headroom=_BOOST,
    ),
    Datasheet(
        names=r"rtx-6000-ada-generation",
        title="RTX 6000 Ada",
        bandwidth=960,
        cache_mib=96,
        source=_ADA,
        fp32=91.1,
        fp16=364.2,
        bf16=364.2,
        int8=728.5,
        fp8=728.5,
        headroom=_BOOST,
    ),
    Datasheet(
        names=r"geforce-rtx-3090",
        title="GeForce RTX 3090",
        bandwidth=936.2,
        cache_mib=6,
        source=_GA102,
        fp32=35.6,
        fp16=142.3,
        bf16=71.2,
        int8=284.7,
        headroom=_BOOST,
    ),
    Datasheet(
        names=r"rtx-a6000",
        title="RTX A6000",
        bandwidth=768,
        cache_mib=6,
        source=_GA102,
        fp32=38.7,
        fp16=154.8,
        bf16=154.8,
        int8=309.7,
        headroom=_BOOST,
    ),
    Datasheet(
        names=r"geforce-rtx-4080",
        title="GeForce RTX 4080",
        bandwidth=716.8,
        cache_mib=64,
        source=_ADA,
        fp32=48.7,
        fp16=194.9,
        bf16=97.5,
        int8=389.9,
        fp8=389.9,
        headroom=_BOOST,
    ),
    Datasheet(
        names=r"geforce-rtx-4090",
        title="GeForce RTX 4090",
        bandwidth=1008,
        cache_mib=72,
        source=_ADA,
        fp32=82.6,
        fp16=330.3,
        bf16=165.2,
        int8=660.6,
        fp8=660.6,
        headroom=_BOOST,
    ),
    Datasheet(
        names=r"geforce-rtx-5080",
        title="GeForce RTX 5080",
        bandwidth=960,
        cache_mib=64,
        source=_BLACKWELL,
        fp32=56.3,
        fp16=225.1,
        bf16=112.6,
        int8=450.2,
        fp8=450.2,
        fp4=900.4,
        headroom=_BOOST,
    ),
    Datasheet(
        names=r"geforce-rtx-5090",
        title="GeForce RTX 5090",
        bandwidth=1792,
        cache_mib=96,
        source=_BLACKWELL,
        fp32=104.8,
        fp16=419,
        bf16=209.5,
        int8=838,
        fp8=838,
        fp4=1676,
        headroom=_BOOST,
    ),
    Datasheet(
        names=r"rtx-pro-6000-blackwell-(max-q-)?(workstation|server)-edition",
        title="RTX PRO 6000 Blackwell",
        bandwidth=1792,
        cache_mib=128,
        source=_BLACKWELL + " (of the workstation edition, the fastest)",
        fp32=126,
        fp16=504,
        bf16=504,
        int8=1008,
        fp8=1008,
        fp4=2015,
        headroom=_BOOST,
    ),
)
"""Every device that is known, the narrower name first."""

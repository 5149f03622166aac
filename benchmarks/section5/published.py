"""The figures that the paper and its references published; everything in one place.

Sources: J. Gao et al., Learning adaptive hyper-guidance via proxy-based bilevel optimization for
image enhancement, The Visual Computer 39(4), 2023. Tables 1 and 2 are printed there. Figs. 2 and 3
are plots; their values are those listed with the research data. Fig. 5 has no published values.
"""

from __future__ import annotations

from dataclasses import dataclass

LEVELS = (0.6, 1, 2, 3, 4, 5, 6, 7)  # percent of full scale

_UP_TO_FIVE = LEVELS[:6]

# Figs. 2 and 3: PSNR in dB on the Levin benchmark by noise level in percent.
LEVIN: dict[str, dict[float, float]] = {
    name: dict(zip(levels, values, strict=True))
    for name, levels, values in (
        ("tiny-unguided", _UP_TO_FIVE, (32.85, 32.20, 30.56, 29.33, 28.28, 27.27)),
        ("tiny-strict", _UP_TO_FIVE, (32.94, 32.25, 30.65, 29.41, 28.42, 27.55)),
        ("general-unguided", _UP_TO_FIVE, (32.97, 32.20, 30.59, 29.37, 28.39, 27.48)),
        ("general-naive", LEVELS, (33.51, 32.72, 30.92, 29.65, 28.70, 27.89, 27.21, 26.52)),
        ("general-strict", LEVELS, (33.74, 32.95, 31.08, 29.83, 28.83, 28.05, 27.33, 26.71)),
    )
}


@dataclass(frozen=True)
class Printed:
    """A row of Table 1 or 2: PSNR in dB and SSIM by test set; None where the paper has a dash."""

    method: str
    scores: dict[str, tuple[float, float] | None]


# Table 1; on the luminance.
RAIN = tuple(
    Printed(method, {"Rain100L": light, "Rain100H": heavy})
    for method, light, heavy in (
        ("GMM", (28.66, 0.865), (15.05, 0.425)),
        ("DDN", (32.16, 0.936), (21.92, 0.764)),
        ("RGN", (33.16, 0.963), (25.25, 0.841)),
        ("JORDER", (36.61, 0.974), (26.54, 0.835)),
        ("RESCAN", None, (28.88, 0.866)),
        ("PReNet", (37.48, 0.979), (29.46, 0.899)),
        ("the paper", (37.58, 0.979), (30.21, 0.907)),
    )
)

# Table 2; on all colours.
HAZE = tuple(
    Printed(method, {"indoor": indoor, "outdoor": outdoor})
    for method, indoor, outdoor in (
        ("DCP", (16.61, 0.8546), (19.14, 0.8605)),
        ("DehazeNet", (19.82, 0.8209), (24.75, 0.9269)),
        ("MSCNN", (19.84, 0.8327), (22.06, 0.9078)),
        ("AOD-Net", (20.51, 0.8162), (24.14, 0.9198)),
        ("EPDN", (25.06, 0.9232), (22.57, 0.8630)),
        ("GridDehazeNet", (32.16, 0.9836), (30.86, 0.9819)),
        ("the paper", (32.19, 0.9839), (30.90, 0.9822)),
    )
)

"""The tables of the paper's Section 5, each with the published figures beside ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median

from .blind import shares
from .configurations import BATCH, CROP, STEPS, WIDTH
from .published import HAZE, LEVELS, LEVIN, RAIN, Printed
from .results import Measured, Results
from .subjects import RIVALS, TOLD_RIVALS
from .suites import QUADRANTS, SUN_LEVELS, TOLD, labels
from .tables import Column, aligned, by_level, differences, spread

_LEVIN_LABELS = labels(LEVELS)
_SUN_LABELS = labels(SUN_LEVELS)
_PERCENT = 100


def about() -> str:
    """What the names in the tables mean, and how far the trainings are from the paper's."""
    return f"""\
The paper's restoration networks with {WIDTH} features instead of 64, trained for {STEPS} steps
of {BATCH} crops of {CROP} pixels by Muon with cosine, instead of for 200000 steps of 5 crops
of 160 by Adam without.
  general, tiny   five stages of denoisers with nine or six convolutions
  strict          Algorithm 1: g moves theta, f moves omega        response   f moves theta, too
  naive           one step on f + g for both                       unguided   no map
  longer          as many steps as fit into the processor time of strict
  prenet, griddehazenet   published weights, trained on for a few steps with the map as a new input
  bundled         the model that comes with the package, tier fast
± is the standard deviation over seeds. kMAC/px is the work per pixel of a 1280x720 picture."""


def sections(results: Results) -> Iterator[str]:
    """The text of each figure and table in the paper's order."""
    for title, text in (
        ("Fig. 2: guided and unguided, Levin, PSNR in dB", _figure_2),
        ("Fig. 3: training strategies, Levin, PSNR in dB", _figure_3),
        ("Fig. 4: how both problems ended on held-out crops", _figure_4),
        ("Fig. 5, top: Sun et al., PSNR in dB", _figure_5_top),
        (
            "Fig. 5, bottom: Sun et al. at 3 %, by the told level, PSNR in dB",
            _figure_5_told,
        ),
        ("Figs. 6 to 8: noise level maps, Levin, percent of full scale", _figures_6_to_8),
        ("Fig. 9: blind, Levin's captured pictures, error ratios", _figure_9),
        ("Table 1: rain, PSNR in dB and SSIM of the luminance", _table_1),
        ("Table 2: haze, PSNR in dB and SSIM", _table_2),
    ):
        yield f"{title}\n\n{text(results)}\n"


def _column(
    results: Results,
    suite: str,
    subject: str,
    levels: Sequence[str],
    title: str = "",
    value: Callable[[Measured], float | None] = lambda one: one.psnr,
) -> Column:
    ours = {
        level: {
            one.seed: figure
            for one in results.of(suite, subject, level)
            if (figure := value(one)) is not None
        }
        for level in levels
    }
    return Column(title or subject, ours, kilo_macs=results.costs.get(subject))


def _levin(results: Results, subject: str, published: str = "") -> Column:
    column = _column(results, "levin", subject, _LEVIN_LABELS)
    known = {f"{level:g} %": value for level, value in LEVIN.get(published, {}).items()}
    return Column(column.title, column.ours, known, column.kilo_macs)


def _pairs(columns: dict[str, Column], pairs: Sequence[tuple[str, str]]) -> str:
    """Differences of pairs of columns, seed by seed."""
    rows = [["difference, seed by seed", *_LEVIN_LABELS]]
    for one, other in pairs:
        found = differences(columns[one], columns[other], _LEVIN_LABELS)
        rows.append([f"{one} - {other}", *found.values()])
    return aligned(rows)


def _figure_2(results: Results) -> str:
    names = ("general-strict", "general-unguided", "tiny-strict", "tiny-unguided")
    longer = ("general-unguided-longer", "tiny-unguided-longer")
    columns = {name: _levin(results, name, name) for name in names}
    columns |= {name: _levin(results, name) for name in longer}
    more = [_levin(results, name) for name in ("bundled deblur", *RIVALS, "input")]
    pairs = [
        ("general-strict", "general-unguided"),
        ("general-strict", "general-unguided-longer"),
        ("tiny-strict", "tiny-unguided"),
        ("tiny-strict", "tiny-unguided-longer"),
        ("tiny-strict", "general-unguided"),
    ]
    parts = (
        by_level([columns[name] for name in names], _LEVIN_LABELS),
        by_level([*(columns[name] for name in longer), *more], _LEVIN_LABELS),
        _pairs(columns, pairs),
    )
    return "\n\n".join(parts)


def _figure_3(results: Results) -> str:
    names = ("general-strict", "general-naive", "general-response", "general-naive-longer")
    columns = {name: _levin(results, name, name) for name in names}
    pairs = [("general-strict", name) for name in names[1:]]
    pairs.append(("general-response", "general-naive-longer"))
    table = by_level(list(columns.values()), _LEVIN_LABELS)
    return f"{table}\n\n{_pairs(columns, pairs)}"


def _figure_4(results: Results) -> str:
    """Losses times 1000; the cost of each training beside them."""
    wanted = {
        "held_out_f": "1000 f",
        "held_out_g": "1000 g",
        "inner_gap": "1000 gap",
        "regret": "1000 regret",
    }
    rows = [["", "seeds", "steps", "CPU min", "PSNR", *wanted.values()]]
    for name in dict.fromkeys(one.subject for one in results.trained):
        members = results.training_of(name)
        minutes = [one.cpu_seconds / 60 for one in members]
        quality = [one.figures["output_psnr"] for one in members]
        figures = [
            spread([1000 * one.figures[key] for one in members if key in one.figures], 3)
            for key in wanted
        ]
        row = [name, str(len(members)), str(members[0].steps), spread(minutes, 1)]
        rows.append([*row, spread(quality), *figures])
    return aligned(rows)


def _figure_5_top(results: Results) -> str:
    names = ("general-strict", "general-unguided", "bundled deblur", *RIVALS, "input")
    return by_level([_column(results, "sun80", name, _SUN_LABELS) for name in names], _SUN_LABELS)


def _figure_5_told(results: Results) -> str:
    """One row for each told level, and one for the network's own map."""
    names = ("general-strict", "bundled deblur", *TOLD_RIVALS)
    true = labels((3,))[0]
    rows = {f"told {level} %": (level, "sun80 told") for level in TOLD}
    own = "own map"
    columns = []
    for name in names:
        ours = {
            label: {one.seed: one.psnr for one in results.of(suite, name, true, level)}
            for label, (level, suite) in rows.items()
        }
        if name not in TOLD_RIVALS:
            ours[own] = {one.seed: one.psnr for one in results.of("sun80", name, true)}
        columns.append(Column(name, ours, kilo_macs=results.costs.get(name)))
    return by_level(columns, [*rows, own])


def _figures_6_to_8(results: Results) -> str:
    names = ("general-strict", "general-response", "general-naive", "tiny-strict", "bundled deblur")

    def mean(one: Measured) -> float | None:
        return None if one.map_mean is None else _PERCENT * one.map_mean

    def error(one: Measured) -> float | None:
        return None if one.map_rmse is None else _PERCENT * one.map_rmse

    parts = []
    for what, value in (("mean of the map", mean), ("RMSE of the map", error)):
        columns = [_column(results, "levin", name, _LEVIN_LABELS, value=value) for name in names]
        parts.append(f"{what}, by the true level\n{by_level(columns, _LEVIN_LABELS)}")
    parts.append(f"four levels in one picture\n{_quadrants(results, names)}")
    return "\n\n".join(parts)


def _quadrants(results: Results, names: Sequence[str]) -> str:
    """Mean and RMSE of the map in each quadrant, and the restored pictures' PSNR."""
    label = " ".join(f"{level:g}" for level in QUADRANTS) + " %"
    rows = [["", "PSNR", *(f"at {level:g} %: mean, RMSE" for level in QUADRANTS)]]
    for name in (*names, "general-unguided", *RIVALS, "input"):
        members = results.of("levin quadrants", name, label)
        row = [name, spread([one.psnr for one in members])]
        for i in range(len(QUADRANTS)):
            maps = [one.quadrants[i] for one in members if one.quadrants]
            means, errors = ([_PERCENT * getattr(q, f) for q in maps] for f in ("mean", "rmse"))
            row.append(f"{spread(means)}, {spread(errors)}" if maps else "-")
        rows.append(row)
    return aligned(rows)


def _figure_9(results: Results) -> str:
    """One row for each kernel, one column for each picture."""
    pictures = sorted({one.name.partition("_")[0] for one in results.blind})
    kernels = sorted({one.name.partition("_")[2] for one in results.blind})
    ratios = {one.name: f"{one.ratio:.2f}" for one in results.blind}
    rows = [["kernel", *pictures]]
    rows += [[k, *(ratios.get(f"{p}_{k}", "-") for p in pictures)] for k in kernels]
    if not results.blind:
        return aligned(rows)
    middle = median(one.ratio for one in results.blind)
    parts = [f"at most {most}: {share:.0%}" for most, share in shares(results.blind).items()]
    return f"{aligned(rows)}\n\n{', '.join(parts)}, median {middle:.2f}"


def _table_1(results: Results) -> str:
    names = ("PReNet", *(f"prenet-{s}" for s in _STRATEGIES), "bundled derain", "input")
    heavy = ("PReNet (heavy)", "bundled derain", "input")
    light = {"PReNet": "PReNet", "prenet-strict": "the paper"}
    rows = _of_suite(results, "rain100l", names, RAIN, "Rain100L", light)
    rows += _of_suite(results, "rain100h", heavy, RAIN, "Rain100H", {"PReNet (heavy)": "PReNet"})
    return f"{aligned([_HEAD, *rows])}\n\n{_published(RAIN)}"


def _table_2(results: Results) -> str:
    names = (
        "GridDehazeNet",
        *(f"griddehazenet-{s}" for s in _STRATEGIES),
        "bundled dehaze",
        "input",
    )
    known = {"GridDehazeNet": "GridDehazeNet", "griddehazenet-strict": "the paper"}
    rows = _of_suite(results, "sots", names, HAZE, "indoor", known)
    note = (
        "The suite is the recipe of SOTS on NYU Depth, from which RESIDE made the training set of\n"
        "GridDehazeNet, too: it may have seen these pictures."
    )
    return f"{aligned([_HEAD, *rows])}\n\n{note}\n\n{_published(HAZE)}"


_STRATEGIES = ("unguided", "strict", "response", "naive")
_HEAD = [
    *("measured here", "suite", "kMAC/px", "seeds", "pictures", "paper PSNR", "PSNR"),
    *("paper SSIM", "SSIM", "map RMSE"),
]


def _of_suite(
    results: Results,
    suite: str,
    names: Sequence[str],
    published: Sequence[Printed],
    test_set: str,
    methods: Mapping[str, str],
) -> list[list[str]]:
    """A row for each name. methods: name -> the published method that it repeats."""
    printed = {row.method: row.scores[test_set] for row in published}
    rows = []
    for name in names:
        members = results.of(suite, name)
        cost = results.costs.get(name)
        scores = printed[methods[name]] if name in methods else None
        psnr, ssim = ("-", "-") if scores is None else (f"{scores[0]:.2f}", f"{scores[1]:.4f}")
        own = any(one.seed is not None for one in members)
        rows.append(
            [
                *(name, suite, "-" if cost is None else f"{cost:.1f}"),
                str(len(members)) if own or not members else "-",
                str(members[0].pictures) if members else "-",
                *(psnr, spread([one.psnr for one in members])),
                *(ssim, spread([one.ssim for one in members], 4)),
                spread([one.map_rmse for one in members if one.map_rmse is not None], 4),
            ]
        )
    return rows


def _published(rows: Sequence[Printed]) -> str:
    sets = list(rows[0].scores)
    table = [["published", *(f"{name} {score}" for name in sets for score in ("PSNR", "SSIM"))]]
    for row in rows:
        cells = [row.method]
        for name in sets:
            scores = row.scores[name]
            cells += ["-", "-"] if scores is None else [f"{scores[0]:.2f}", f"{scores[1]:.4f}"]
        table.append(cells)
    return aligned(table)

# SPDX-License-Identifier: Apache-2.0
"""Figures of many whole runs as tables of Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from .reference import lookup
from .table_rows import RUNS, TABLES, Table

COLUMNS = (   # heading, path into the figures of `whole_run`, form
    ("train, s", "train", ".1f"),
    ("extract, s", "extract", ".1f"),
    ("Gaussians", "evaluation/gaussians", ",.0f"),
    ("vertices", "evaluation/vertices", ",.0f"),
    ("mesh file, MB", "mesh_mb", ".1f"),
    ("PSNR", "evaluation/psnr", ".2f"),
    ("SSIM", "evaluation/ssim", ".3f"),
    ("mesh, PSNR", "evaluation/mesh_psnr", ".2f"),
    ("F(0.01)", "evaluation/score/tau 0.01/fscore", ".3f"),
    ("F(0.0025)", "evaluation/score/tau 0.0025/fscore", ".3f"),
    ("F(0.001)", "evaluation/score/tau 0.001/fscore", ".3f"),
    ("chamfer", "evaluation/score/chamfer", ".2e"),
    ("seen: F(0.0025)", "evaluation/score_seen/tau 0.0025/fscore", ".3f"),
    ("F(0.001)", "evaluation/score_seen/tau 0.001/fscore", ".3f"),
    ("chamfer", "evaluation/score_seen/chamfer", ".2e"),
    ("GiB", "device_gib", ".2f"),
)
# Of a single mesh, in a report of `evaluate_run`.
MESH_COLUMNS = (("time, s", "seconds", ".1f"), *((heading, path.removeprefix("evaluation/"), form)
                for heading, path, form in COLUMNS if path.startswith("evaluation/") and path not in (
                    "evaluation/gaussians", "evaluation/psnr", "evaluation/ssim")))
SPREAD = {"seeds", "gof-seeds"}   # tables whose runs differ by chance alone


def markdown(found: dict[str, dict]) -> str:
    """All tables that there are figures for.

    Args:
        found: figures of `whole_run` with "recipe", "mesh_mb", "events" and perhaps "methods", by the name of the run.
    """
    parts = []
    for key, table in TABLES.items():
        names = [name for name in table.runs if name in found]
        if names:
            parts.append(_table(key, table, names, found))
    parts += [_methods(name, figures["methods"]) for name, figures in found.items() if "methods" in figures]
    return "\n".join(parts)


def _table(key: str, table: Table, names: Sequence[str], found: dict[str, dict]) -> str:
    labels, recipes = dict(table.labels), [found[name]["recipe"] for name in names]
    made = [", ".join(sorted({recipe["presets"][0] for recipe in recipes})),
            " and ".join(sorted({recipe["device"] for recipe in recipes}))]
    text = f"\n### {table.title} ({' on '.join(made)})\n\n"
    text += _lines("run", [(labels.get(name, name), found[name]) for name in names], COLUMNS)
    for name in names:
        bar = RUNS[name].most_mb
        if bar is not None:
            is_size = found[name]["mesh_mb"]
            text += f"\n{name}: {is_size:.1f} MB, {'below' if is_size < bar else 'NOT below'} the bar of {bar:.0f} MB\n"
    if key in SPREAD and len(names) > 1:
        text += "\n" + _spread([found[name] for name in names]) + "\n" + _same_events(names, found)
    return text


def _lines(first: str, rows: Sequence[tuple[str, dict]], columns: Sequence[tuple[str, str, str]]) -> str:
    columns = [column for column in columns if any(lookup(figures, column[1]) is not None for _, figures in rows)]
    lines = [f"| {' | '.join([first, *(heading for heading, _, _ in columns)])} |", "|---" * (len(columns) + 1) + "|"]
    for name, figures in rows:
        values = [lookup(figures, path) for _, path, _ in columns]
        cells = ["" if value is None else format(value, form) for value, (_, _, form) in zip(values, columns)]
        lines.append(f"| {' | '.join([name, *cells])} |")
    return "\n".join(lines) + "\n"


def _spread(runs: Sequence[dict]) -> str:
    """Largest minus smallest of each figure, in a line."""
    words = []
    for heading, path, form in COLUMNS:
        values = [value for run in runs if (value := lookup(run, path)) is not None]
        if values and not path.startswith("evaluation/score_seen"):
            words.append(f"{heading} {max(values) - min(values):{form}}")
    return f"Spread (largest - smallest): {'; '.join(words)}.\n"


def _same_events(names: Sequence[str], found: dict[str, dict]) -> str:
    first = found[names[0]]["events"]
    other = [name for name in names if found[name]["events"] != first]
    if other:
        counts = "; ".join(f"{name}: {found[name]['events']}" for name in (names[0], *other))
        return f"Event counts DIFFER: {counts}.\n"
    return f"Event counts are the same in all: {', '.join(f'{name} {count}' for name, count in first.items())}.\n"


def _methods(name: str, report: dict) -> str:
    seconds = report["extraction_seconds"]
    rows = [(mesh["mesh"].removeprefix("mesh_").removesuffix(".ply").replace("_", " "),
             mesh | {"seconds": seconds[mesh["mesh"]]}) for mesh in report["meshes"]]
    return f"\n### Extraction methods: {name}\n\n" + _lines("method", rows, MESH_COLUMNS)

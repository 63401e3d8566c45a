# SPDX-License-Identifier: Apache-2.0
"""The tables of a report of `evaluate_run`, as rows of text, for the terminal and for the page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from rich.console import Console
from rich.table import Table as RichTable

from .score import TAUS

HEADINGS = {"psnr": "PSNR, dB", "ssim": "SSIM", "lpips": "LPIPS", "mesh_psnr": "mesh, PSNR", "mesh_ssim": "mesh, SSIM",
            "mesh_lpips": "mesh, LPIPS", "mesh_coverage": "coverage"}
FILE_WIDTH = 160   # characters, where the tables go to a file
SCORES = {"score": "mesh", "score_seen": "what training views see of it"}


class Table(NamedTuple):
    """A table; the first column is text, the others are figures."""

    title: str
    headings: list[str]
    rows: list[list[str]]
    note: str = ""


def summary(report: dict) -> str:
    """One sentence about the run."""
    return (f"{report['scene']}: {report['gaussians']:,} Gaussians, mesh of {report['vertices']:,} vertices and "
            f"{report['faces']:,} triangles")


def tables(report: dict) -> Iterator[Table]:
    """The tables that the report has figures for."""
    keys = [key for key in HEADINGS if report.get(key) is not None]
    if report["views"]:
        rows = [[view["name"], *(_figure(key, view[key]) for key in keys)] for view in
                [*report["views"], report | {"name": "mean"}]]
        yield Table("Held-out views", ["held-out view", *(HEADINGS[key] for key in keys)], rows)
    for key, words in SCORES.items():
        if key in report:
            score = report[key]
            rows = [[f"{tau}", *(f"{score[f'tau {tau}'][name]:.4f}" for name in ("precision", "recall", "fscore"))]
                    for tau in TAUS]
            headings = ["tau, of the diagonal", "precision", "recall", "F-score"]
            yield Table(f"Against the ground truth: {words}", headings, rows,
                        f"Chamfer distance, of the diagonal: {score['chamfer']:.5f}")
    if "meshes" in report:
        yield _side_by_side([report | {"mesh": "mesh.ply"}, *report["meshes"]])
    if "mesh_nvs" in report:
        nvs = report["mesh_nvs"]
        keys = [key for key in ("psnr", "ssim", "lpips") if key in nvs]
        yield Table("Mesh-based novel view synthesis", ["mode", *(HEADINGS[key] for key in keys)],
                    [[nvs["mode"], *(_figure(key, nvs[key]) for key in keys)]],
                    f"{nvs['iterations']:,} iterations, field of resolution {nvs['resolution']:,}")


def _side_by_side(meshes: list[dict]) -> Table:
    keys = [key for key in HEADINGS if key.startswith("mesh_") and any(key in mesh for mesh in meshes)]
    scored = all("score" in mesh for mesh in meshes)
    rows = []
    for mesh in meshes:
        row = [mesh["mesh"], f"{mesh['vertices']:,}", f"{mesh['faces']:,}"]
        row += [_figure(key, mesh[key]) if key in mesh else "" for key in keys]
        row += [f"{mesh['score'][f'tau {tau}']['fscore']:.4f}" for tau in TAUS] if scored else []
        rows.append(row)
    headings = ["mesh", "vertices", "triangles", *(HEADINGS[key] for key in keys)]
    return Table("Meshes side by side", headings + ([f"F({tau})" for tau in TAUS] if scored else []), rows)


def _figure(key: str, value: float) -> str:
    return f"{value:.{2 if 'psnr' in key else 4}f}"


def print_report(report: dict) -> None:
    """The tables on the terminal, or wider where they go to a file."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=FILE_WIDTH)
    console.print(summary(report))
    if not report["views"]:
        console.print("No view was held out, so there is nothing to compare pictures with.")
    for table in tables(report):
        grid = RichTable(*table.headings, title=table.title, title_justify="left")
        for index, row in enumerate(table.rows):
            grid.add_row(*row, end_section=table.headings[0] == "held-out view" and index == len(table.rows) - 2)
        console.print(grid)
        if table.note:
            console.print(table.note)

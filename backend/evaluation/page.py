# SPDX-License-Identifier: Apache-2.0
"""A run's evaluation as a page to open in a browser: figures, and pictures of the held-out views. No scripts."""

from __future__ import annotations

from html import escape
from pathlib import Path

from PIL import Image

from .contact_sheet import spread
from .finished_run import open_run
from .run_pictures import pictures_of
from .tables import Table, summary, tables

VIEWS = 6
CAPTIONS = {"photo": "photo", "splats": "splats", "mesh": "mesh, vertex colours", "shaded": "mesh, shaded",
            "normals": "mesh, normals"}
STYLE = """
body { background: #17181b; color: #ececee; font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1500px;
       padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.15rem; margin-top: 2rem; } p, figcaption { color: #96989e; }
table { border-collapse: collapse; } th, td { padding: 0.2rem 0.9rem; text-align: right; }
th:first-child, td:first-child { text-align: left; } th { color: #96989e; font-weight: normal; }
tr { border-bottom: 1px solid #2c2e33; } td { font-variant-numeric: tabular-nums; }
.row { display: grid; gap: 0.6rem; grid-template-columns: repeat(auto-fit, minmax(200px, 1fr)); margin-bottom: 1rem; }
figure { margin: 0; } img { width: 100%; display: block; }
"""


def write_page(report: dict, run_dir: str | Path, scene: str | Path | None = None) -> Path:
    """Write RUN/report/index.html and its pictures.

    Args:
        report: of `evaluate_run`.
        run_dir: folder of the run.
        scene: the scene's folder, if it has moved.

    Returns:
        the page's path.
    """
    run = open_run(run_dir, scene)
    folder = run.path / "report"
    folder.mkdir(exist_ok=True)
    rows = []
    for index, view in enumerate(spread(run.scene.test or run.scene.train, VIEWS)):
        cells = []
        for kind, picture in pictures_of(run, view).items():
            name = f"{index}_{kind}.jpg"
            Image.fromarray(picture).save(folder / name, quality=90)
            cells.append(f'<figure><img src="{name}" alt="{CAPTIONS[kind]}"><figcaption>{CAPTIONS[kind]}</figcaption>'
                         "</figure>")
        rows.append(f'<h2>{escape(view.camera.name)}</h2><div class="row">{"".join(cells)}</div>')
    title = escape(report["scene"])
    body = [f"<h1>{title}</h1>", f"<p>{escape(summary(report))}</p>", *map(_html, tables(report)), *rows]
    page = (f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
            f"<body>{''.join(body)}</body></html>\n")
    path = folder / "index.html"
    path.write_text(page, encoding="utf-8")
    return path


def _html(table: Table) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in table.headings)
    rows = "".join(f"<tr>{''.join(f'<td>{escape(text)}</td>' for text in row)}</tr>" for row in table.rows)
    return f"<h2>{escape(table.title)}</h2><table><tr>{head}</tr>{rows}</table><p>{escape(table.note)}</p>"

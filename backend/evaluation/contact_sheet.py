# SPDX-License-Identifier: Apache-2.0
"""Pictures side by side with captions, on a dark page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

PAGE, INK, FAINT = (23, 24, 27), (236, 236, 238), (150, 152, 158)
GAP, MARGIN = 10, 28


@dataclass(frozen=True, eq=False)
class Cell:
    """A picture [H, W, 3] uint8 and what to write below it, in any number of lines."""

    picture: np.ndarray
    caption: str = ""


def contact_sheet(title: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]], strip: Sequence[Cell] = (),
                  strip_title: str = "", subtitle: str = "", cell_width: int = 300) -> Image.Image:
    """A page with a table of pictures and, below it, a strip.

    Args:
        title, subtitle: at the top of the page.
        columns: headings, one a column of `rows`.
        rows: of cells, as many as there are columns; all pictures of a row are drawn at one size.
        strip: cells in one line over the width of the page, e.g. the stages of a mesh.
        strip_title: above the strip.
        cell_width: pixels; pictures are scaled to it.
    """
    width = 2 * MARGIN + len(columns) * (cell_width + GAP) - GAP
    strip_width = (width - 2 * MARGIN + GAP) // len(strip) - GAP if strip else 0
    strip_width = min(strip_width, cell_width)
    parts = [_text_band(width, title, 26, subtitle), _headings(width, columns, cell_width)]
    parts += [_line(width, row, cell_width) for row in rows]
    if strip:
        parts += [_text_band(width, strip_title, 20), _line(width, strip, strip_width)]
    page = Image.new("RGB", (width, sum(part.height for part in parts) + MARGIN // 2), PAGE)
    top = 0
    for part in parts:
        page.paste(part, (0, top))
        top += part.height
    return page


def spread(items: Sequence, most: int) -> list:
    """At most `most` of the items, evenly, with the first and the last."""
    if len(items) <= most:
        return list(items)
    return [items[round(i * (len(items) - 1) / max(most - 1, 1))] for i in range(most)]


def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)


def _text_band(width: int, text: str, size: int, faint: str = "") -> Image.Image:
    band = Image.new("RGB", (width, int(size * 1.4) + 20), PAGE)
    draw = ImageDraw.Draw(band)
    draw.text((MARGIN, band.height - 10), text, INK, _font(size), anchor="ls")
    if faint:
        draw.text((width - MARGIN, band.height - 10), faint, FAINT, _font(16), anchor="rs")
    return band


def _headings(width: int, columns: Sequence[str], cell_width: int) -> Image.Image:
    band = Image.new("RGB", (width, 30), PAGE)
    draw = ImageDraw.Draw(band)
    for i, text in enumerate(columns):
        draw.text((MARGIN + i * (cell_width + GAP), 22), text, FAINT, _font(16), anchor="ls")
    return band


def _line(width: int, cells: Sequence[Cell], cell_width: int) -> Image.Image:
    height = max(round(cell.picture.shape[0] * cell_width / cell.picture.shape[1]) for cell in cells)
    lines = max(len(cell.caption.splitlines()) for cell in cells)
    band = Image.new("RGB", (width, height + (8 + 18 * lines if lines else 0) + GAP), PAGE)
    draw = ImageDraw.Draw(band)
    for i, cell in enumerate(cells):
        left = MARGIN + i * (cell_width + GAP)
        scaled = round(cell.picture.shape[0] * cell_width / cell.picture.shape[1])
        picture = Image.fromarray(cell.picture).resize((cell_width, scaled), Image.Resampling.LANCZOS)
        band.paste(picture, (left, 0))
        for row, text in enumerate(cell.caption.splitlines()):
            draw.text((left, height + 19 + 18 * row), _fitted(text, 14, cell_width), FAINT, _font(14), anchor="ls")
    return band


def _fitted(text: str, size: int, width: int) -> str:
    """The text, cut where it would be wider than `width` pixels."""
    while text and _font(size).getlength(text) > width:
        text = text[:-1]
    return text

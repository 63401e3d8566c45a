# SPDX-License-Identifier: Apache-2.0
"""Precision and recall as the threshold grows, as a picture."""

from __future__ import annotations

from PIL import Image, ImageDraw, ImageFont

INK, FAINT = (40, 42, 46), (205, 207, 212)
PRECISION, RECALL = (200, 80, 40), (40, 90, 170)
SIZE, MARGIN, FINER = (640, 480), (64, 48, 24, 56), 3   # margins left, top, right, bottom; drawn so much finer


def plot_curves(title: str, tau: float, curve: dict[str, list[float]]) -> Image.Image:
    """A plot with the threshold tau marked.

    Args:
        title: above the plot.
        tau: world units.
        curve: {"distances", "precision", "recall"}, of equal lengths, distances ascending in world units.
    """
    page = Image.new("RGB", (SIZE[0] * FINER, SIZE[1] * FINER), "white")
    draw = ImageDraw.Draw(page)
    far = curve["distances"][-1]

    def place(distance: float, share: float) -> tuple[float, float]:
        left, top, right, bottom = MARGIN
        return (FINER * (left + distance / far * (SIZE[0] - left - right)),
                FINER * (SIZE[1] - bottom - share * (SIZE[1] - top - bottom)))

    def text(at: tuple[float, float], words: str, anchor: str, size: int = 14, color: tuple = INK) -> None:
        draw.text(at, words, color, ImageFont.load_default(size * FINER), anchor=anchor)

    for share in (0, 0.25, 0.5, 0.75, 1):
        draw.line([place(0, share), place(far, share)], FAINT, FINER)
        text((place(0, share)[0] - 8 * FINER, place(0, share)[1]), f"{share:g}", "rm")
    for multiple in range(int(far / tau + 0.05) + 1):
        x, y = place(multiple * tau, 0)
        text((x, y + 8 * FINER), f"{multiple * tau:.4g}", "ma")
    draw.line([place(tau, 0), place(tau, 1)], INK, FINER)
    for name, color in (("precision", PRECISION), ("recall", RECALL)):
        draw.line([place(*point) for point in zip(curve["distances"], curve[name])], color, 2 * FINER, "curve")
    text((place(0, 1)[0], 28 * FINER), title, "ls", 17)
    text((place(far, 1)[0] - 70 * FINER, 28 * FINER), "precision", "rs", 14, PRECISION)
    text((place(far, 1)[0], 28 * FINER), "recall", "rs", 14, RECALL)
    text((place(far / 2, 0)[0], (SIZE[1] - 8) * FINER), "threshold, metres; the line is the scene's", "ms")
    return page.resize(SIZE, Image.Resampling.LANCZOS)

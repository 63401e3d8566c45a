# SPDX-License-Identifier: Apache-2.0
"""Which runs the tables of docs/benchmarks.md are made of."""

from __future__ import annotations

from typing import NamedTuple


class Run(NamedTuple):
    """A whole run: what layers over the base preset, and how long it should take."""

    name: str
    scene: str                     # "suzanne", "fox"
    presets: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    seconds: float = 75.0          # on one H200, with process and evaluation
    most_mb: float | None = None   # the bar of its mesh file, 10^6 bytes
    base: str = ""                 # always this preset; "" = that of the command
    device: str = ""               # always there; "" = that of the command
    methods: float = 0.0           # seconds to extract by every method too; 0 = not


class Table(NamedTuple):
    """A table: its title, the names of its runs, a line each, and what it calls some of them."""

    title: str
    runs: tuple[str, ...]
    labels: tuple[tuple[str, str], ...] = ()


GOF, INTEGRATION = "model.rasterizer=gof", "mesh.sdf_source=integration"
DEPTH, NORMAL, CENTERS, LABELS = (f"mesh.{name}_weight=0" for name in ("depth", "normal", "centers", "labels"))

RUNS = {run.name: run for run in (
    Run("suzanne", "suzanne", methods=45),
    Run("suzanne, gof", "suzanne", (), (GOF,), 85, methods=45),
    Run("suzanne, dense", "suzanne", ("dense",), (), 130),
    Run("suzanne, dense, gof", "suzanne", ("dense",), (GOF,), 150),
    Run("suzanne, low", "suzanne", ("low",), (), 65, most_mb=50),
    Run("suzanne, verylow", "suzanne", ("verylow",), (), 60, most_mb=20),
    Run("suzanne, high, dense", "suzanne", ("high", "dense"), (), 150),
    Run("suzanne, veryhigh, dense", "suzanne", ("veryhigh", "dense"), (), 150),
    Run("suzanne, regular", "suzanne", ("regular",), (), 150),
    Run("suzanne, dtu", "suzanne", ("dtu",), ("data.holdout=true",), 150),
    Run("fox", "fox", seconds=90, methods=60),
    Run("fox, dense", "fox", ("dense",), (), 190),
    Run("fox, gof", "fox", (), (GOF,), 110),
    Run("fox, verylow", "fox", ("verylow",), (), 75, most_mb=20),
    Run("no mesh losses", "suzanne", (), (DEPTH, NORMAL, CENTERS, LABELS)),
    Run("depth alone", "suzanne", (), (NORMAL, CENTERS, LABELS)),
    Run("depth and normal", "suzanne", (), (CENTERS, LABELS)),
    Run("no normal loss", "suzanne", (), (NORMAL,)),
    Run("no centres", "suzanne", (), (CENTERS,)),
    Run("no labels", "suzanne", (), (LABELS,)),
    Run("integration", "suzanne", (), (INTEGRATION,)),
    Run("suzanne, once more", "suzanne"),
    Run("suzanne, seed 1", "suzanne", (), ("run.seed=1",)),
    Run("suzanne, seed 2", "suzanne", (), ("run.seed=2",)),
    Run("suzanne, gof, seed 1", "suzanne", (), (GOF, "run.seed=1"), 85),
    Run("suzanne, gof, seed 2", "suzanne", (), (GOF, "run.seed=2"), 85),
    *(Run(f"preview{where}, seed {seed}", "suzanne", (), (f"run.seed={seed}",), seconds, base="preview", device=device)
      for where, device, seconds in (("", "", 30), (" on the CPU", "cpu", 90)) for seed in range(3)),
)}

TABLES = {
    "suzanne": Table("Suzanne, every configuration", tuple(name for name in RUNS if name.startswith("suzanne")
                                                           and "seed" not in name and "once" not in name)),
    "fox": Table("Fox", tuple(name for name in RUNS if name.startswith("fox"))),
    "ablation": Table("Ablation", ("suzanne", "no mesh losses", "depth alone", "depth and normal", "no normal loss",
                                   "no centres", "no labels", "integration"),
                      (("suzanne", "full"), ("integration", "integration, not fusion"))),
    "seeds": Table("Seeds", ("suzanne", "suzanne, once more", "suzanne, seed 1", "suzanne, seed 2")),
    "gof-seeds": Table("Seeds, GOF", ("suzanne, gof", "suzanne, gof, seed 1", "suzanne, gof, seed 2")),
    "devices": Table("The preview on two devices", tuple(name for name in RUNS if name.startswith("preview"))),
}

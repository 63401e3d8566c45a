# SPDX-License-Identifier: Apache-2.0
"""The state of all jobs in one SQLite file. A killed server loses at most the progress of the last seconds."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

from milo.protocol import ProtocolError
from milo.protocol.messages import MESSAGES, JobInfo

from .files import no_space

FORMAT = 1


class Store:
    """Rows of (JobInfo, place in the queue). Used by the thread that made it."""

    def __init__(self, path: Path):
        self._path = path
        self._db = sqlite3.connect(path, timeout=0.5, isolation_level=None)   # the loop must not wait
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        written_by, = self._db.execute("PRAGMA user_version").fetchone()
        if written_by not in (0, FORMAT):
            raise ProtocolError("not_ready", f"{path} has format {written_by}; this version of MILo reads {FORMAT}.",
                                "Update MILo, or give another folder with --home.")
        self._db.execute("CREATE TABLE IF NOT EXISTS jobs (job TEXT PRIMARY KEY, place INTEGER NOT NULL, "
                         "deleted INTEGER NOT NULL DEFAULT 0, info TEXT NOT NULL)")
        self._db.execute(f"PRAGMA user_version = {FORMAT}")

    def save(self, info: JobInfo, place: int) -> None:
        """Raises ProtocolError no_space if it cannot be written."""
        body = json.dumps(MESSAGES["job.info"].write(info, "job"))
        try:
            self._db.execute("INSERT INTO jobs (job, place, info) VALUES (?, ?, ?) "
                             "ON CONFLICT (job) DO UPDATE SET place = excluded.place, info = excluded.info",
                             (info.job, place, body))
        except sqlite3.OperationalError as error:
            raise no_space(self._path.parent) from error

    def load(self) -> list[tuple[JobInfo, int]]:
        rows = self._db.execute("SELECT info, place FROM jobs WHERE NOT deleted ORDER BY place").fetchall()
        return [(MESSAGES["job.info"].read(json.loads(body), "job"), place) for body, place in rows]

    def mark_deleted(self, job: str) -> None:
        """First step of a deletion; the second is `forget`, once the files are gone. Raises ProtocolError as `save`."""
        try:
            self._db.execute("UPDATE jobs SET deleted = 1 WHERE job = ?", (job,))
        except sqlite3.OperationalError as error:
            raise no_space(self._path.parent) from error

    def deleted(self) -> list[str]:
        return [job for job, in self._db.execute("SELECT job FROM jobs WHERE deleted")]

    def forget(self, job: str) -> None:
        self._db.execute("DELETE FROM jobs WHERE job = ?", (job,))

    def close(self) -> None:
        self._db.close()

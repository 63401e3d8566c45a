# SPDX-License-Identifier: Apache-2.0
"""The job that makes an asset of another job's result. A runner as in worker.py.

Nothing is kept of a finishing that was stopped: it takes a minute or two and is done again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue

from milo.backend.extraction.steps import ExtractStep
from milo.backend.training.events import Finished, Progress
from milo.protocol import ProtocolError

from .job_folder import read_request


def finish_job(folder: Path, device: str, should_stop: Callable[[], bool]) -> Iterator[Progress | Finished]:
    """The runner of the task "finish": run/ becomes the asset, as the extension takes it (milo.protocol.assets)."""
    from milo.backend.devices import choose_device
    from milo.backend.finishing.finish import FinishingStopped, finish
    from milo.backend.finishing.options import FinishOptions

    request, device = read_request(folder), choose_device(device)
    options, source = FinishOptions.from_settings(request.settings), folder.parent / request.scene.job
    if not source.is_dir():     # while this was paused, or had failed
        raise ProtocolError("not_ready", "The reconstruction that was to be finished has been deleted.")
    scene = source / "scene"
    if not scene.is_dir():      # stored_splats.take_back brings no photos, but from where they were taken
        scene = source / "run" / "cameras.json"
        if not scene.is_file():
            raise ProtocolError("not_ready", "This backend has the splats of the reconstruction, but neither its "
                                "photos nor their cameras.", "Finish it with the backend that has made it.")
    happened: SimpleQueue = SimpleQueue()

    def work() -> None:
        try:
            happened.put(finish(source / "run", folder / "run", options, scene=scene, device=device,
                                for_blender=True, on_step=happened.put, should_stop=should_stop))
        except BaseException as error:
            happened.put(error)

    threading.Thread(target=work, name="finishing", daemon=True).start()
    while isinstance(event := happened.get(), ExtractStep):
        yield Progress(event.stage, event.iteration, event.iterations, None, 0, event.vertices, None, None)
    stopped = isinstance(event, FinishingStopped)
    if isinstance(event, BaseException) and not stopped:
        raise event
    psnr = None if stopped else event.report["levels"][0].get("psnr")
    yield Finished(source / "run" / "splats.ply", folder / "run", {}, psnr, stopped)

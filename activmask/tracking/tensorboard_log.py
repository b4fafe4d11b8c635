"""One seed as a run of TensorBoard: event files, read by `tensorboard --logdir` of any folder above.

Format: TFRecords of `Event` protocol buffers. A row of the history is one record, so that a kill leaves
all of it or nothing that is read; each process writes a file of its own, behind a record that was cut off.
"""

import struct
import time
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from activmask.ground.refusals import make_folder, refusals_told
from activmask.tracking.log import Known

_NAME = "events.out.tfevents."
_HEADER = "brain.Event:2"


class TensorBoardLog:
    """The event files of one seed."""

    def __init__(self, folder: Path, *, anew: bool) -> None:
        """Continue those in a folder, or begin anew.

        Args:
            folder: of the event files; made if it is not there.
            anew: remove those that are there.

        Raises:
            DataError: the file system refuses.
        """
        make_folder(folder)
        before = sorted(folder.glob(f"{_NAME}*"))
        if anew:
            for path in before:
                path.unlink()
        self._known = set() if anew else {pair for path in before for pair in _kept(path)}
        # Readers take files in the order of their names, and drop what is of an earlier time.
        self._path = folder / f"{_NAME}{time.time():020.6f}.activmask"
        self._append(file_version=_HEADER)

    def known(self) -> Known:
        """Tags with steps, of all that can be read."""
        return set(self._known)

    def settings(self, values: Mapping[str, str | float]) -> None:
        """Keep them as hyperparameters."""
        from tensorboard.plugins.hparams.summary_v2 import hparams_pb

        summary = hparams_pb(dict(values))
        if not {(value.tag, 0) for value in summary.value} <= self._known:
            self._append(step=0, summary=summary)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Keep them in one record."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        made = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        self._append(step=step, summary=Summary(value=made))

    def picture(self, step: int, name: str, png: bytes) -> None:
        """Keep a picture as it is."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        width, height = struct.unpack(">II", png[16:24])
        image = Summary.Image(height=height, width=width, colorspace=4, encoded_image_string=png)
        self._append(step=step, summary=Summary(value=[Summary.Value(tag=name, image=image)]))

    def finished(self) -> None:
        """Event files know no end."""

    def _append(self, **content: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        record = BytesIO()
        RecordWriter(record).write(Event(wall_time=time.time(), **content).SerializeToString())
        with refusals_told(self._path), self._path.open("ab") as file:
            file.write(record.getvalue())


def _kept(path: Path) -> Known:
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    return {
        (value.tag, event.step)
        for event in EventFileLoader(str(path)).Load()
        for value in event.summary.value
    }

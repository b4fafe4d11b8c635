"""The failures a user can cause, as one small family.

Each message is one sentence that names the file, row or field, what was expected, what was
found, and what to do. The exit code of a command follows from the class.
"""


class ActivmaskError(Exception):
    """Anything a user can mend; never raised for a defect of this program."""


class UsageError(ActivmaskError):
    """The request itself makes no sense: unknown names, settings that contradict each other."""


class DataError(ActivmaskError):
    """A data set or an image is missing, broken or not what the request needs."""


class ConfigError(ActivmaskError):
    """A configuration file or a run's description is broken."""


class CheckpointError(ActivmaskError):
    """A checkpoint or a run folder is missing, broken or does not fit the request."""


class PeerLost(ActivmaskError):
    """Another process of the same training ended; the last good state is on disk."""


class TrainingDiverged(ActivmaskError):
    """A loss became NaN or infinite; the last good state is on disk."""

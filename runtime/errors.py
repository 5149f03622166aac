"""The one exception that users see."""


class HyperguideError(Exception):
    """Something about the input is wrong; the message says what, where and how to mend it.

    The command line prints the message as one sentence and exits with code 1.
    """


class OutOfMemoryError(HyperguideError):
    """An engine had not enough memory for a picture; a smaller part may pass."""


class UnavailableError(HyperguideError):
    """A device that is not here or does not start; whether the file is right nobody knows."""


class RefusedError(HyperguideError):
    """A file that an engine finds invalid; no other engine is to try it."""


class DiskFullError(HyperguideError):
    """There is no room for a file, and so none for the next."""

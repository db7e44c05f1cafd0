"""What can go wrong, in words for the person who runs it; the edge turns these into exit codes."""


class GenloopError(Exception):
    """The work failed for a reason that the message explains; exit code 1."""

    exit_code = 1


class InputError(GenloopError):
    """What came in (params, data, arguments) is unusable; exit code 2. Running again does not help."""

    exit_code = 2

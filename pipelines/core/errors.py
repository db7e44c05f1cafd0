"""Errors whose messages are for the user. The edge turns them into exit codes."""


class GenloopError(Exception):
    """The work failed for a reason that the message explains; exit code 1."""

    exit_code = 1


class InputError(GenloopError):
    """The input (params, data, arguments) is unusable; exit code 2. Running again does not help."""

    exit_code = 2

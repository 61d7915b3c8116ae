"""Errors that a person is meant to read: one line that names the bad value and the fix.

The command line prints the message and exits with `exit_code`; nothing else in the package prints errors.
"""


class OlivebranchError(Exception):
    """Something in the input, the model or the machine stops the work (exit code 1)."""

    exit_code = 1


class UsageError(OlivebranchError):
    """The request itself is wrong: an unknown option value, column, recipe key or base (exit code 2)."""

    exit_code = 2


def reason_of(error: OSError) -> str:
    """What the system says went wrong, as part of a one-line error."""
    return (error.strerror or str(error)).lower()

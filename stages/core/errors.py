"""The one exception that is meant for the person at the keyboard."""


class UnmaskError(Exception):
    """Something the user can put right: the message says what is wrong, in which file or param, and what to do.

    Stage command lines print the message alone and exit with status 1; any other exception is a bug and keeps its
    traceback.
    """

"""The error a user can act on: stages print its one line and exit with status 1, without a traceback."""


class WorkflowError(Exception):
    """Something the user can mend: the message names the file, key or photo and says what to do."""

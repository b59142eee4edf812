"""What the door knows how to say: bad input (exit 2) and a run stopped on request (exit 75)."""


class BadInput(Exception):
    """The user can mend it. One line: what, where, the value, the remedy.

    The door prints it as `epistax VERB: message` and exits with 2, without a traceback.
    """


class Stopped(Exception):
    """The run was asked to stop and left everything published so far in order: exit 75.

    The message says how far it came; the door adds how to go on.
    """

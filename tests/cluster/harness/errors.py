"""What can go wrong in the harness: one tree, so that the fixtures know what is a skip and what is a failure."""


class HarnessError(Exception):
    """The harness could not do what was asked; the message says what failed and where its logs are."""


class UnavailableError(HarnessError):
    """This machine lacks something that the tests need; the message names it and the remedy."""


class RefusedError(UnavailableError):
    """The tests would overwrite what somebody uses; the message says what, and how to allow it."""


class NotOursError(HarnessError):
    """The test would harm a cluster that the harness did not make; the message says what it needs."""


class CommandError(HarnessError):
    """A program ended with an error; the message carries its last words."""


class WaitTimeoutError(HarnessError):
    """A condition did not come true in time; the message carries what was seen last."""

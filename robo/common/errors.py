"""What an operation says when it will not do a thing; pages and the API translate it alike."""


class Refused(Exception):
    """The request cannot be done; the text says why, in words for the person who asked."""


class Conflict(Refused):
    """The request was fine, but things have moved on: somebody else acted, or facts changed."""


class NotAllowed(Refused):
    """This person may see the thing but not do this to it."""

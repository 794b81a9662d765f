"""Objects that run code when they are unpickled."""


class Runs:
    """Pickled, it asks for a function to be called on arguments when it is loaded."""

    def __init__(self, function, *arguments):
        self.reduced = (function, arguments)

    def __reduce__(self):
        return self.reduced


def creates_file(path):
    """Return an object that makes a file when it is unpickled by ``pickle`` itself."""
    return Runs(exec, f"open({str(path)!r}, 'w').close()")

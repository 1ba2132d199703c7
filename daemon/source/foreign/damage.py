"""What is wrong with a file of an older tool, said where it is found; the reader adds the file's name."""


class DamagedFile(ValueError):
    """The file cannot be read on from here. The message says what was found, at which line, and what to do."""

"""Which state of accounts and tokens something was read from, as far as this process changed them."""


class Revision:
    """A number that moves whenever this process has changed what an account or a token may.

    Whoever remembers an answer keeps the number that was there before the question; with another one it is old.
    """

    __slots__ = ("number",)

    def __init__(self) -> None:
        self.number = 0

    def move(self) -> None:
        """Say that something changed. After the commit: who asks from now on must be given the new state."""
        # Two threads may move it by one together. It has changed, and that is all that counts.
        self.number += 1

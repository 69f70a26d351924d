"""What is wrong with configs that a source could not take, told once each."""

import logging
from dataclasses import dataclass

_logger = logging.getLogger("usersplit.configs")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigProblem:
    """Why a document is not in force as it is. The last good one stays, where there was one.

    Attributes:
        file: the file's name, or of an HTTP source the document's place; "" for the directory or the server itself.
        reason: a sentence that says what to do.
    """

    file: str
    reason: str


class ConfigProblems:
    """The problems of one source by file. For one thread at a time; `listed` may be read by any."""

    def __init__(self) -> None:
        self.listed: tuple[ConfigProblem, ...] = ()
        self._by_file: dict[str, ConfigProblem] = {}

    def report(self, file: str, reason: str) -> None:
        """Take note of a problem, and log it unless it is known."""
        problem = ConfigProblem(file=file, reason=reason)
        if self._by_file.get(file) != problem:
            _logger.warning(reason)
        self._by_file[file] = problem

    def mend(self, file: str) -> None:
        """Forget the problem of a file that is well, or gone."""
        self._by_file.pop(file, None)

    def keep_only(self, files: set[str]) -> None:
        """Forget the problems of all other files."""
        for gone in self._by_file.keys() - files:
            del self._by_file[gone]

    def publish(self) -> None:
        """Let others see what was found."""
        self.listed = tuple(self._by_file.values())

"""Names for the keys of tests and for their variants: a module of constants, made from config files.

    python -m usersplit.names CONFIGS app/split_tests.py             write the module
    python -m usersplit.names CONFIGS app/split_tests.py --check     for CI: do the code and the servers still agree?
    python -m usersplit.names CONFIGS app/split_tests.py --check --code app

CONFIGS is the directory that an agent keeps, or the address of a UserSplit server, which is asked with the API token in
the environment variable USERSPLIT_TOKEN. With --code, places that ask for a key which no server knows are reported:
dead tests in the code. It ends with 0 where all agree, 1 where not, 2 if that cannot be told.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from usersplit._config import SplitTestConfig
from usersplit._config_set import ConfigSet
from usersplit._directory_configs import DirectoryConfigs
from usersplit._errors import InvalidSetting
from usersplit._http_configs import HttpConfigs
from usersplit._names_code import UnreadableCode, uses_in
from usersplit._names_module import Names, NoNamesModule, module_text, names_in
from usersplit._reloaded_configs import ReloadedConfigs

__all__ = ["main"]

AGREE: Final = 0
DIFFER: Final = 1
UNKNOWN: Final = 2

_TOKEN: Final = "USERSPLIT_TOKEN"  # noqa: S105 - the name of a variable
_DOWNLOAD_SECONDS: Final = 60.0
_NOT_ON_SERVERS: Final = ("draft", "discarded")
_OVER: Final = ("finished", "rejected")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return what the process shall end with.

    Args:
        arguments: of the command line; None takes the process's own.
    """
    options = _parser().parse_args(arguments)
    try:
        with _opened(options.configs) as configs:
            problems, current = configs.problems(), configs.published.current
    except InvalidSetting as error:
        _complain(f"{error} (The token is taken from the environment variable {_TOKEN}.)")
        return UNKNOWN
    if problems:
        for problem in problems:
            _complain(problem.reason)
        return UNKNOWN
    names = _known(current, options.only)
    missing = sorted(set(options.only) - names.variants_by_test.keys() - names.user_groups)
    if missing:
        _say(f"No server knows {', '.join(missing)}.")
        return DIFFER
    outcome = _check(options.module, names) if options.check else _write(options.module, names)
    if options.code and outcome != UNKNOWN:
        outcome = max(outcome, _scan(options.code, options.module, current, is_strict=options.strict))
    return outcome


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m usersplit.names", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("configs", metavar="CONFIGS", help="directory of config files, or address of a server")
    parser.add_argument("module", metavar="MODULE", type=Path, help="the generated module, such as app/split_tests.py")
    parser.add_argument("--check", action="store_true", help="write nothing, say what differs")
    parser.add_argument(
        "--only", metavar="KEY", nargs="+", default=[], help="the tests and user groups of this service"
    )
    parser.add_argument("--code", metavar="PATH", type=Path, nargs="+", default=[], help="look for dead keys here")
    parser.add_argument("--strict", action="store_true", help="a test that is over, and still in the code, is an error")
    return parser


def _opened(configs: str) -> ReloadedConfigs:
    if configs.startswith(("http://", "https://")):
        return HttpConfigs(configs, token=os.environ.get(_TOKEN, ""), timeout_seconds=_DOWNLOAD_SECONDS)
    return DirectoryConfigs(configs)


def _known(current: ConfigSet, only: Sequence[str]) -> Names:
    return Names(
        variants_by_test={
            key: config.variants[1:]
            for key, config in current.tests.items()
            if config.status not in _NOT_ON_SERVERS and (not only or key in only)
        },
        user_groups=frozenset(
            key
            for key, group in current.user_groups.items()
            if group.status not in _NOT_ON_SERVERS and (not only or key in only)
        ),
    )


def _write(module: Path, names: Names) -> int:
    text = module_text(names)
    with suppress(OSError, UnicodeDecodeError):
        if module.read_text(encoding="utf-8") == text:
            _say(f"{module} is up to date.")
            return AGREE
    try:
        module.write_text(text, encoding="utf-8")
    except (OSError, UnicodeEncodeError) as error:
        _complain(f"{module} cannot be written: {error}")
        return UNKNOWN
    _say(f"Wrote {module}: {len(names.variants_by_test)} split tests, {len(names.user_groups)} user groups.")
    return AGREE


def _check(module: Path, names: Names) -> int:
    try:
        text = module.read_text(encoding="utf-8")
        differences = list(_differences(names_in(text), names))
    except OSError as error:
        _complain(f"{module} cannot be read ({error}): generate it, without --check.")
        return UNKNOWN
    except (NoNamesModule, UnicodeDecodeError) as error:
        _complain(f"{module} is no generated module ({error}): generate it, without --check.")
        return UNKNOWN
    if not differences and text != module_text(names):
        differences.append("the names are right, but the file was edited or made by another version")
    for difference in differences:
        _say(f"{module}: {difference}")
    if differences:
        _say("Generate it anew, without --check, and look at what uses it.")
    return DIFFER if differences else AGREE


def _differences(code: Names, servers: Names) -> Iterator[str]:
    for key in sorted(code.variants_by_test.keys() | servers.variants_by_test.keys()):
        before, now = code.variants_by_test.get(key), servers.variants_by_test.get(key)
        if before is None:
            yield f"{key}: a split test that the code does not know"
        elif now is None:
            yield f"{key}: a split test that no server knows (any more)"
        else:
            yield from (f"{key}: the variant {each!r} is new" for each in now if each not in before)
            yield from (f"{key}: the variant {each!r} is gone" for each in before if each not in now)
    yield from (
        f"{key}: a user group that the code does not know" for key in sorted(servers.user_groups - code.user_groups)
    )
    yield from (f"{key}: a user group that no server knows" for key in sorted(code.user_groups - servers.user_groups))


def _scan(paths: Sequence[Path], module: Path, current: ConfigSet, *, is_strict: bool) -> int:
    try:
        key_of_class = names_in(module.read_text(encoding="utf-8")).class_names
    except (OSError, UnicodeDecodeError, NoNamesModule):
        key_of_class = {}  # said already, or not asked for
    outcome = AGREE
    for use in uses_in(paths, key_of_class):
        if isinstance(use, UnreadableCode):
            _complain(f"{use.place} cannot be read: {use.reason}")
            outcome = UNKNOWN
            continue
        test = current.tests.get(use.key) if use.may_be_test else None
        group = current.user_groups.get(use.key) if use.may_be_group else None
        found = next((each for each in (test, group) if each is not None and each.status not in _NOT_ON_SERVERS), None)
        if found is None:
            _say(f"{use.place}: {use.key}: no server knows it (any more); remove it from the code.")
            outcome = max(outcome, DIFFER)
        elif isinstance(found, SplitTestConfig) and found.status in _OVER:
            _say(f"{use.place}: {use.key}: {_over(found)}")
            outcome = max(outcome, DIFFER if is_strict else AGREE)
    return outcome


def _over(config: SplitTestConfig) -> str:
    if config.status == "rejected":
        return "rejected; keep the old behaviour, and remove the test from the code."
    kept = (
        "keep its branch"
        if config.result_scope == "worldwide"
        else "mind that it holds where the conditions match only"
    )
    return f"finished, its result is {config.result!r}; {kept}, and remove the test from the code."


def _say(line: str) -> None:
    print(line)  # noqa: T201 - the answer of a command


def _complain(line: str) -> None:
    print(line, file=sys.stderr)  # noqa: T201 - what a command could not do


if __name__ == "__main__":
    sys.exit(main())

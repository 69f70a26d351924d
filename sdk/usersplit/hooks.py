"""Hits at the end of processes that do not end as Python wants: SIGTERM, and the workers of servers.

`atexit` runs at the end of the main thread and after `sys.exit`. It does not run on a signal without a handler, nor on
`os._exit`, by which workers end. Each function here closes all clients of the process, once, when it ends:

| process | what to write |
|---|---|
| a script, a consumer, uvicorn | `flush_on_sigterm()` before it runs |
| gunicorn | `from usersplit.hooks import worker_exit` in `gunicorn.conf.py` |
| uWSGI (with `enable-threads`) | `flush_on_uwsgi_exit()` in the module with the application |
| celery | `flush_on_celery_exit()` in the module with the celery application |
| children of `multiprocessing`, `ProcessPoolExecutor` | nothing: it is done |
"""

import importlib
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from usersplit._shutdown import close_all

__all__ = ["close_clients", "flush_on_celery_exit", "flush_on_sigterm", "flush_on_uwsgi_exit", "worker_exit"]

_TIMEOUT_SECONDS: Final = 5.0


def close_clients(timeout_seconds: float = _TIMEOUT_SECONDS) -> None:
    """Close all clients of this process, as `UserSplit.close` does for one, together within the timeout."""
    close_all(timeout_seconds)


def flush_on_sigterm(timeout_seconds: float = _TIMEOUT_SECONDS) -> None:
    """On SIGTERM, close all clients of this process; then do what would have been done without this.

    That is: the handler that was there before is called; where there was none, the process ends by the signal; and
    where the signal was ignored, it still is, and nothing is closed. The service goes on while clients are closed, a
    moment if the broker is there; hits that it logs then are dropped as "closed".

    Args:
        timeout_seconds: how long closing may take. Kubernetes kills after 30 seconds, Docker after 10.

    Raises:
        ValueError: this is not the main thread; only there Python lets handlers be set.
    """
    previous = signal.getsignal(signal.SIGTERM)
    if previous is signal.SIG_IGN:
        return
    steps = iter(("close", "go on"))  # one signal for each, the second one from the thread below
    closed = threading.Event()

    def close_and_signal_again() -> None:
        try:
            close_all(timeout_seconds)
        finally:
            closed.set()
            os.kill(os.getpid(), signal.SIGTERM)

    def handle(number: int, frame: FrameType | None) -> None:
        # Closing has a thread of its own, and nobody waits for it here: the code that was interrupted may hold a lock
        # that closing needs.
        if next(steps, "go on") == "close":
            try:
                threading.Thread(target=close_and_signal_again, name="usersplit-sigterm", daemon=True).start()
            except RuntimeError:  # no more threads
                closed.set()
        if not closed.is_set():
            return
        if callable(previous):
            previous(number, frame)
        else:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    signal.signal(signal.SIGTERM, handle)


def worker_exit(server: object, worker: object) -> None:
    """Close all clients when a worker of gunicorn ends. To be imported into `gunicorn.conf.py`, which looks for it."""
    del server, worker
    close_all(_TIMEOUT_SECONDS)


def flush_on_uwsgi_exit(timeout_seconds: float = _TIMEOUT_SECONDS) -> None:
    """Close all clients when a worker of uWSGI ends. Outside of uWSGI it does nothing.

    uWSGI runs no thread but its own without the option `enable-threads`: no hit would ever be sent.
    """
    try:
        uwsgi: Any = importlib.import_module("uwsgi")
    except ImportError:
        return
    previous: Callable[[], None] | None = getattr(uwsgi, "atexit", None)

    def close_and_go_on() -> None:
        close_all(timeout_seconds)
        if previous is not None:
            previous()

    uwsgi.atexit = close_and_go_on


def flush_on_celery_exit(timeout_seconds: float = _TIMEOUT_SECONDS) -> None:
    """Close all clients when a process of celery's pool ends, and when the worker itself does.

    Raises:
        ImportError: celery is not installed.
    """
    signals: Any = importlib.import_module("celery.signals")

    def close(**_: object) -> None:
        close_all(timeout_seconds)

    signals.worker_process_shutdown.connect(close, weak=False)
    signals.worker_shutdown.connect(close, weak=False)

"""One command per process: read the settings, listen for SIGTERM, run until it comes.

What a process is made of is loaded when it runs: a sink needs neither the pages nor the log, and starts in half the
time without them.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event

import click

from entrypoints.liveness import Stop
from entrypoints.log_format import set_up_logging
from entrypoints.metrics import Metrics
from entrypoints.metrics_server import metrics_served
from entrypoints.on_demand import load
from entrypoints.process_settings import SETTINGS_OF
from entrypoints.settings import Settings

_log = logging.getLogger(__name__)


def _process(name: str, place: str, explanation: str) -> click.Command:
    @click.command(name=name, help=f"{explanation} Runs until SIGTERM; may be killed at any moment.")
    def command() -> None:
        settings = SETTINGS_OF[name].read()
        set_up_logging(settings, name)
        stop, metrics = Stop(settings.alive_file), Metrics()
        stop.on_signals()
        _log.info("%s starts", name)
        with _watchable(settings, stop, metrics), _last_words(name):
            run: Callable[[Settings, Event, Metrics], None] = load(place)
            run(settings, stop, metrics)
        _log.info("%s stopped", name)

    return command


@contextmanager
def _watchable(settings: Settings, stop: Stop, metrics: Metrics) -> Iterator[None]:
    if settings.metrics_port is None:
        yield
        return
    with metrics_served(
        metrics.registry, stop.is_alive, address=settings.metrics_address, port=settings.metrics_port
    ) as port:
        _log.info("metrics are at http://%s:%d/metrics", settings.metrics_address, port)
        yield


@contextmanager
def _last_words(name: str) -> Iterator[None]:
    """Log what ended the process, in the form of its log, before the terminal says it in its own."""
    try:
        yield
    except Exception:  # whatever it is: nothing is handled here, and it goes on to whoever called
        _log.exception("%s ends with an error; whoever supervises it starts it again", name)
        raise


projector = _process("projector", "entrypoints.log_processes:run_projector", "Keep the read models up with the log.")
preparer = _process(
    "preparer",
    "entrypoints.preparer_process:run_preparer",
    "Prepare proposed settings: draw split groups, count users and user groups.",
)
relay = _process(
    "relay", "entrypoints.log_processes:run_relay", "Publish facts and configs to Kafka; one leads, others stand by."
)
agent = _process("agent", "entrypoints.agent_process:run_agent", "Keep one config file per test on this server.")
laid_out = _process(
    "laid-out", "entrypoints.log_processes:run_laid_out", "Keep what the servers have laid out, and who fell silent."
)
dimensions = _process(
    "dimensions", "entrypoints.bi_processes:run_dimensions", "Export tests, settings and their changelog to BI."
)
bi_sink = _process(
    "bi-sink", "entrypoints.bi_processes:run_bi_sink", "Drain hits from Kafka into the warehouse, every hit once."
)
code_deployed = _process(
    "code-deployed", "entrypoints.log_processes:run_code_deployed", "See from hits that a test's code is deployed."
)
override_expiry = _process(
    "override-expiry", "entrypoints.log_processes:run_override_expiry", "Take out the QA overrides whose time is over."
)
registry = _process(
    "registry", "entrypoints.registry_server:run_registry", "Serve the schemas of the topics as a schema registry does."
)
notifier = _process("notifier", "entrypoints.log_processes:run_notifier", "Tell test managers what they wait for.")
serve = _process("serve", "entrypoints.serve_process:run_serve", "Serve the HTTP API and the managers' pages.")

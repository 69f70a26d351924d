"""One command per process: read the settings, listen for SIGTERM, run until it comes."""

import logging
import sys
from collections.abc import Callable
from threading import Event
from typing import Any

import click

from entrypoints import processes
from entrypoints.liveness import Stop


def _process(name: str, run: Callable[[Any, Event], None], explanation: str) -> click.Command:
    @click.command(name=name, help=f"{explanation} Runs until SIGTERM; may be killed at any moment.")
    def command() -> None:
        settings = processes.SETTINGS_OF[name].read()
        logging.basicConfig(
            level=settings.log_level,
            format=f"%(asctime)s %(levelname)s {name} %(name)s: %(message)s",
            stream=sys.stderr,
        )
        stop = Stop(settings.alive_file)
        stop.on_signals()
        logging.getLogger(__name__).info("%s starts", name)
        run(settings, stop)
        logging.getLogger(__name__).info("%s stopped", name)

    return command


projector = _process("projector", processes.run_projector, "Keep the read models up with the log.")
preparer = _process("preparer", processes.run_preparer, "Prepare proposed settings: draw split groups, count overlaps.")
relay = _process("relay", processes.run_relay, "Publish facts and configs to Kafka; one leads, others stand by.")
agent = _process("agent", processes.run_agent, "Keep one config file per test on this server.")
bi_sink = _process("bi-sink", processes.run_bi_sink, "Drain hits from Kafka into the warehouse, every hit once.")
code_deployed = _process("code-deployed", processes.run_code_deployed, "See from hits that a test's code is deployed.")
notifier = _process("notifier", processes.run_notifier, "Tell test managers what they wait for.")

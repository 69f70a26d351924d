"""`agent`: the config files of one server, until `stop` is set. It needs neither a log nor a warehouse."""

from threading import Event

from consumers.agent import Agent
from consumers.laid_out_reports import LaidOutReporter
from entrypoints.clock import now
from entrypoints.kafka import open_broker
from entrypoints.metered import MeteredBroker
from entrypoints.metrics import Metrics, of_agent
from entrypoints.settings import AgentSettings


def run_agent(settings: AgentSettings, stop: Event, metrics: Metrics) -> None:
    """Keep a directory of config files, and say what is laid out there."""
    settings.config_directory.mkdir(parents=True, exist_ok=True)
    broker = MeteredBroker(open_broker(settings), metrics)
    reporter = LaidOutReporter(broker, environment=settings.environment_name, host=settings.host, now=now)
    agent = Agent(broker, settings.config_directory, tell=reporter.tell)
    metrics.ask(of_agent(agent, now))
    with reporter.running():
        agent.run(stop)

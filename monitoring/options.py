"""Options that several commands share, so that they read and sound alike."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

DEFAULT_CONFIG = Path(__file__).with_name("monitoring.yaml")
"""The messenger's own."""

CONFIG_IN_WORDS = "./monitoring.yaml, else the one beside this package"

Command = Callable[..., None]


def nearest_config() -> Path:
    """The project of the current folder, so that nobody generates for another by leaving out an option."""
    here = Path(DEFAULT_CONFIG.name)
    return here if here.is_file() else DEFAULT_CONFIG


def config_and_environment(command: Command) -> Command:
    """`--config` and `--env`, handed over as `config_path` and `environment`."""
    config = click.option(
        "--config",
        "config_path",
        type=click.Path(path_type=Path, dir_okay=False),
        default=nearest_config,
        show_default=CONFIG_IN_WORDS,
        help="Which monitoring.yaml to read; its paths are relative to itself.",
    )
    environment = click.option(
        "--env",
        "environment",
        default="production",
        show_default=True,
        help="Which of its environments is meant.",
    )
    return config(environment(command))


def output_format(command: Command) -> Command:
    """`--format text|markdown|json`, handed over as `form`."""
    return click.option(
        "--format",
        "form",
        type=click.Choice(["text", "markdown", "json"]),
        default="text",
        show_default=True,
        help="text for a terminal, markdown for a pull request, json for a program.",
    )(command)


def lenient_option(command: Command) -> Command:
    """`--lenient`, handed over as `lenient`."""
    return click.option(
        "--lenient", is_flag=True, help="Doubtful places in specs become warnings; what makes no sense is left out."
    )(command)

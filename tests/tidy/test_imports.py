"""A command loads only what it needs: the price of `plan` must not be that of a web server and a database."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import pytest

WEB = {"kopf", "starlette", "uvicorn"}
NEVER = {
    "reconciler": WEB | {"sqlalchemy", "requests", "rich", "jsonschema", "click"},
    "reconciler.cli.main": WEB | {"sqlalchemy", "requests", "jsonschema"},
    "reconciler.cli.validate": WEB | {"sqlalchemy", "requests"},
    "reconciler.cli.plan": WEB | {"sqlalchemy", "alembic", "requests"},
    "reconciler.cli.explain": WEB | {"sqlalchemy", "requests"},
    "reconciler.cli.drift": WEB | {"sqlalchemy", "requests"},
    "reconciler.cli.status": WEB | {"rich"},
    "reconciler.cli.observe": WEB | {"sqlalchemy"},
    "reconciler.cli.adopt": WEB | {"sqlalchemy"},
    "reconciler.cli.apply": WEB,
    "reconciler.cli.journal": WEB | {"requests"},
    "reconciler.cli.support_bundle": WEB | {"sqlalchemy", "requests", "jsonschema", "yaml"},
    "reconciler.cli.history": WEB | {"requests", "jsonschema"},
    "reconciler.cli.halt": WEB | {"requests", "jsonschema", "yaml"},
    "reconciler.cli.suspend": WEB | {"requests", "jsonschema", "yaml"},
    "reconciler.cli.resume": WEB | {"requests", "jsonschema", "yaml"},
    "reconciler.cli.retry": WEB | {"requests", "jsonschema", "yaml"},
    "reconciler.cli.reconcile": WEB | {"requests", "jsonschema", "yaml"},
    "reconciler.cli.accept": WEB | {"requests", "jsonschema", "yaml"},
    "reconciler.cli.force_unlock": WEB | {"requests", "jsonschema", "yaml"},
    "reconciler.cli.firmware": WEB | {"sqlalchemy", "requests"},
    "reconciler.cli.operator": WEB | {"sqlalchemy", "requests"},
    "reconciler.kube.source": WEB | {"sqlalchemy"},
    "reconciler.cli.catalog": WEB | {"sqlalchemy", "requests"},
    "reconciler.journal.location": {"sqlalchemy", "alembic", "psycopg"},
    "reconciler.journal.lock": {"sqlalchemy", "psycopg"},
    "reconciler.journal.opening": {"alembic", "psycopg"},
    "reconciler.journal.memory": {"sqlalchemy"},
}
COMMANDS = ["plan", "apply", "validate", "history"]


def loaded_by(script: str) -> set[str]:
    """The top-level modules that are loaded when a script has run in a fresh interpreter."""
    report = "\nimport json, sys; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", script + report], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def skip_unless_it_exists(module: str) -> None:
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} does not exist yet")


@pytest.mark.parametrize("module", NEVER)
def test_importing_it_loads_no_more_than_it_needs(module: str) -> None:
    skip_unless_it_exists(module)
    assert loaded_by(f"import {module}") & NEVER[module] == set()


@pytest.mark.parametrize("command", COMMANDS)
def test_its_help_loads_no_more_than_it_needs(command: str) -> None:
    skip_unless_it_exists(f"reconciler.cli.{command}")
    script = (
        "import sys\nfrom reconciler.cli.main import cli\n"
        f"sys.argv = ['reconciler', '{command}', '--help']\n"
        "try:\n    cli()\nexcept SystemExit as end:\n    assert not end.code, end.code"
    )
    assert loaded_by(script) & NEVER[f"reconciler.cli.{command}"] == set()


def test_the_measure_sees_what_is_loaded() -> None:
    assert "sqlalchemy" in loaded_by("import reconciler.journal.sqlite")

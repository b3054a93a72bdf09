from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reconciler.cli.catalog import command
from reconciler.firmware.catalog import Catalog
from reconciler.firmware.known import known_catalog
from reconciler.model.error import ReconcilerError
from reconciler.model.platform import platform_by_name
from reconciler.model.version import DeviceOsVersion


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The catalog as an earlier version of this program shows it."""
    path = tmp_path / "old.json"
    path.write_text(run("show", "--output", "json").stdout, encoding="utf-8")
    return path


@pytest.fixture
def bridge_withdrawn(tmp_path: Path) -> Path:
    """A catalog of one's own that takes the Boron's bridge back."""
    boron = platform_by_name("boron")
    assert boron is not None
    release = known_catalog().release(boron, DeviceOsVersion("1.3.1"))
    assert release is not None
    path = tmp_path / "own.json"
    path.write_text(json.dumps(Catalog([replace(release, published=False)]).document()), encoding="utf-8")
    return path


def test_the_known_catalog_is_good_and_its_exception_is_shown_with_the_planner_s_sentence() -> None:
    result = run("lint")
    assert result.exit_code == 0
    assert result.stdout.endswith("Good: nothing is wrong with the catalog.\n")
    assert "tracker, from 2.0.0 to 2.3.1 to 3.0.0 and later: 266 pairs without a route" in result.stdout
    assert "planner: nothing above 2.3.1 can be reached" in result.stdout


def test_the_known_catalog_as_json_says_what_was_looked_at() -> None:
    document = json.loads(run("lint", "--output", "json").stdout)
    assert document["ok"] is True
    assert document["catalog_digest"] == known_catalog().digest
    assert document["checked"] == {"platforms": 15, "releases": 1194, "pairs": 10527, "pairs_reached": 10261}
    assert (document["findings"], document["against"]) == ([], None)
    (circle,) = document["exceptions"]
    assert (circle["platform"], circle["from"], circle["to"]) == (
        "tracker",
        {"first": "2.0.0", "last": "2.3.1"},
        {"first": "3.0.0"},
    )


def test_a_finding_ends_with_1_and_its_code(bridge_withdrawn: Path) -> None:
    result = run("lint", "--catalog", bridge_withdrawn)
    assert result.exit_code == 1
    assert "PFR4209 boron: from 0.9.0 to 1.2.1 (4 releases) there is no route to 1.4.0 to 6.5.0" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("Not good: ")


def test_against_an_older_catalog_names_the_situations_that_are_stranded(old: Path, bridge_withdrawn: Path) -> None:
    result = run("lint", "--catalog", bridge_withdrawn, "--against", old, "--output", "json")
    assert result.exit_code == 1
    against = json.loads(result.stdout)["against"]
    assert against["platforms"] == ["boron"]
    stranded = [finding for finding in against["findings"] if finding["rule"] == "situation_stranded"]
    assert {"0.9.0", "1.2.1"} <= {version for finding in stranded for version in finding["from"]}
    assert [finding["to"] for finding in against["findings"] if finding["rule"] == "release_withdrawn"] == [["1.3.1"]]


def test_against_as_text_sets_the_change_apart(old: Path, bridge_withdrawn: Path) -> None:
    text = " ".join(run("lint", "--catalog", bridge_withdrawn, "--against", old).stdout.split())
    assert "Taken away by the change PFR4212 boron: 1.3.1 can be desired no more" in text
    assert "findings about the change." in text


def test_against_itself_takes_nothing_away(old: Path) -> None:
    result = run("lint", "--against", old)
    assert result.exit_code == 0
    assert "no releases or stations differ" in result.stdout


def test_an_older_catalog_without_anything_published_is_an_error(bridge_withdrawn: Path) -> None:
    result = run("lint", "--against", bridge_withdrawn)
    assert isinstance(result.exception, ReconcilerError)
    assert result.exception.code == "PFR6608"


def test_an_older_catalog_that_is_none_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}", encoding="utf-8")
    result = run("lint", "--against", tmp_path / "x.json")
    assert isinstance(result.exception, ReconcilerError)
    assert result.exception.code == "PFR4100"
    assert "x.json" in str(result.exception)

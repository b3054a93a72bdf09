"""A settings file and the environment over it become settings, or all of their problems at once."""

from __future__ import annotations

import pytest

from reconciler.manifests.schema import load_schema
from reconciler.settings.reading import Reading, read_text
from reconciler.settings.settings import ChannelKind, ControllerSettings, Reference, Role
from tests.tidy.test_schemas import parts

HEAD = "apiVersion: fleet.reconciler.dev/v1alpha1\nkind: ControllerSettings\n"
SMALLEST = HEAD + "git: {url: manifests}\n"


def reading(text: str, **environ: str) -> Reading:
    return read_text("s.yaml", text, environ, folder="/etc/r")


def settings(text: str, **environ: str) -> ControllerSettings:
    read = reading(text, **environ)
    assert read.settings is not None, [str(problem) for problem in read.problems]
    return read.settings


def problems(text: str, **environ: str) -> list[str]:
    read = reading(text, **environ)
    assert (read.settings is None) == bool(read.problems)
    return [str(problem) for problem in read.problems]


def test_the_smallest_file_has_all_defaults_and_absolute_paths() -> None:
    found = settings(SMALLEST)
    assert (found.git.url, found.state, found.journal) == ("/etc/r/manifests", "/etc/r", "/etc/r/journal.sqlite")
    assert (found.git.mirror, found.git.reference, found.git.reference_name) == ("/etc/r/mirror.git", "branch", "main")
    assert found.interval_seconds == 300


def test_durations_shares_choices_and_lists_become_values() -> None:
    found = settings(
        HEAD + "git: {url: https://example.com/a.git, tag: v1, interval: 1m30s, tokenFile: ../token}\n"
        "state: /var/lib/r\njournal: postgresql://r@db/journal\n"
        "guards: {devicesGrown: 200%, devicesMin: 5}\n"
        "serving:\n  tokens: [{name: a, role: operate, tokenFile: a}]\n"
        "channels: [{name: a, kind: teams, urlFile: u, fleets: [x, y]}]\n"
    )
    assert (found.git.reference, found.git.reference_name) == (Reference.TAG, "v1")
    assert (found.git.interval_seconds, found.git.token_file) == (90, "/etc/token")
    assert (found.journal, found.git.mirror) == ("postgresql://r@db/journal", "/var/lib/r/mirror.git")
    assert (found.guards.devices_grown_share, found.guards.devices_min) == (2.0, 5)
    assert found.serving.tokens[0].role is Role.OPERATE
    assert (found.channels[0].kind, found.channels[0].fleets) == (ChannelKind.TEAMS, ("x", "y"))


@pytest.mark.parametrize("url", ["https://a.b/c", "git@host:fleet/manifests", "ssh://git@host:22/x"])
def test_an_address_is_no_path(url: str) -> None:
    ssh = ", sshKeyFile: k, knownHostsFile: h" if "git@" in url else ""
    assert settings(HEAD + f"git: {{url: '{url}'{ssh}}}").git.url == url


def test_all_problems_are_told_at_once_with_their_place_and_line() -> None:
    read = reading(
        HEAD + "git: {url: manifests, brunch: main}\nserving:\n  prot: 80\n  host: 0.0.0.0\nlog: {level: loud}\n"
    )
    told = [(str(problem.place), str(problem.code)) for problem in read.problems]
    assert told == [
        ("s.yaml:3:23", "PFR1102"),
        ("s.yaml:5:3", "PFR1102"),
        ("s.yaml:6:9", "PFR1301"),
        ("s.yaml:6:9", "PFR1301"),
        ("s.yaml:7:14", "PFR1105"),
    ]
    assert read.problems[0].suggestion == "did you mean 'branch'?"
    assert read.problems[1].line == "  prot: 80"


REFUSED = [
    ("log: {level: info}", "neither git nor kubernetes"),
    ("git: {url: a}\nkubernetes: {}", "two sources would contradict each other"),
    ("kubernetes: {watchNamespaces: [Team_A]}", "a namespace such as team-a"),
    ("kubernetes: {tokenSecret: a_b}", "the name of a Secret such as"),
    ("git: {url: a}\nchannels: [{name: a, kind: slack, urlFile: b, fleets: [a/b/c]}]", "team-a/cold-chain-eu"),
    ("kubernetes: {tokenKey: a/b}", "a key of a Secret such as"),
    ("git: {url: a, tag: b, branch: c}", "one of the three"),
    ("git: {url: a, commit: 0a1b}", "a whole commit id"),
    ("git: {url: 'http://example.com/a'}", "over https, ssh or from a path"),
    ("git: {url: 'https://u:secret@example.com/a'}", "a password stands in the address"),
    ("git: {url: 'git@host:a'}", "needs git.sshKeyFile and git.knownHostsFile"),
    ("git: {url: a, tokenFile: t}", "it is for https"),
    ("git: {url: a, signatures: {of: tag}}", "openpgpKeys, allowedSigners, or both"),
    ("git: {url: a, interval: 0s}", "less than 1s"),
    ("git: {url: a, interval: 60}", "a duration with its unit"),
    ("git: {url: a}\nguards: {fleetsLost: 150%}", "0% to 100%"),
    ("git: {url: a}\nguards: {devicesGrown: half}", "50% or 200%"),
    ("git: {url: a}\nparticle: {apiUrl: 'https://u@api'}", "without a user name"),
    ("git: {url: a}\nserving: {certificateFile: c}", "needs 'keyFile' beside it"),
    ("git: {url: a}\nserving: {host: '::'}", "there is no TLS"),
    ("git: {url: a}\nserving: {host: '::', allowPlaintext: true}", "there are no tokens"),
    ("git: {url: a}\nserving: {tokens: [{name: A, role: read, tokenFile: t}]}", "a name of lower-case letters"),
    ("git: {url: a}\nchannels: [{name: a, kind: slack}]", "url or urlFile"),
    ("git: {url: a}\nchannels: [{name: a, kind: slack, url: 'h://a', urlFile: b}]", "url or urlFile"),
    ("git: {url: a}\nchannels: [{name: a, kind: teams, url: chat}]", "an address such as"),
    (
        "git: {url: a}\nchannels: [{name: a, kind: email, url: 'mailtos://a:b@c'}]",
        "a password stands in the channel",
    ),
    ("git: {url: a}\nchannels: [{name: a, kind: github, repository: a/b}]", "'secretFile' is missing"),
    ("git: {url: a}\nchannels: [{name: a, kind: gitlab, repository: a, secretFile: b}]", "owner/name"),
    (
        "git: {url: a}\nchannels: [{name: a, kind: gitlab, repository: a/b, secretFile: b, urlFile: d, url: h://a}]",
        "has url and urlFile",
    ),
    (
        "git: {url: a}\nchannels: [{name: a, kind: slack, urlFile: b}, {name: a, kind: slack, urlFile: b}]",
        "channels: a second 'a'; first at line 4",
    ),
    ("git:", "expected a mapping"),
    ("particle: {}", "neither git nor kubernetes"),
    ("git: {url: a}\n---\ngit: {url: b}", "a second document"),
    ("git: {url: !x a}", "tags"),
]


@pytest.mark.parametrize(("text", "said"), REFUSED)
def test_what_does_not_fit_is_refused(text: str, said: str) -> None:
    assert said in "\n".join(problems(HEAD + text))


def test_every_hint_of_the_schema_is_said_to_somebody() -> None:
    told = "\n".join(problem for text, _ in REFUSED for problem in problems(HEAD + text))
    schema = load_schema("ControllerSettings")
    hints = {part["x-hint"] for _, part in parts(schema) if isinstance(part.get("x-hint"), str)}
    assert {hint for hint in hints if hint not in told} == set()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_this_machine_alone_needs_neither_tls_nor_tokens(host: str) -> None:
    assert settings(SMALLEST + f"serving: {{host: '{host}'}}").serving.host == host


def test_other_machines_may_be_let_in_by_saying_so() -> None:
    said = settings(SMALLEST + "serving: {host: 0.0.0.0, allowPlaintext: true, allowAnonymous: true}")
    assert said.serving.allow_anonymous


def test_a_variable_wins_over_the_file_and_needs_no_place_in_it() -> None:
    found = settings(
        SMALLEST + "channels: [{name: a, kind: slack, urlFile: b}]\n",
        RECONCILER_GIT__URL="/srv/git",
        RECONCILER_GIT__TAG="v2",
        RECONCILER_SERVING__PORT="0",
        RECONCILER_ALLOW_COMMANDS="true",
        RECONCILER_PARTICLE__API_URL="http://127.0.0.1:1",
        RECONCILER_GUARDS__DEVICES_LOST="10%",
        RECONCILER_CHANNELS__0__ONLY_BAD="true",
        RECONCILER_JOURNAL="j.sqlite",
        RECONCILER_SETTINGS="s.yaml",
        RECONCILER_LOG__LEVEL="",
        PATH="/bin",
    )
    assert (found.git.url, found.git.reference_name, found.serving.port) == ("/srv/git", "v2", 0)
    assert (found.allow_commands, found.particle.api_url) == (True, "http://127.0.0.1:1")
    assert (found.guards.devices_lost_share, found.channels[0].only_bad) == (0.1, True)
    assert (found.journal, found.log.level) == ("/etc/r/j.sqlite", "info")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("RECONCILER_GIT__ULR", "x", "RECONCILER_GIT__ULR is no setting (did you mean 'RECONCILER_GIT__URL'?)"),
        ("RECONCILER_GIT", "x", "no setting of one value"),
        ("RECONCILER_KIND", "x", "no setting of one value"),
        ("RECONCILER_CHANNELS__0__URL", "https://x", "an item that the list in the file does not have"),
        ("RECONCILER_SERVING__PORT", "many", "serving.port: expected a whole number"),
        ("RECONCILER_ALLOW_COMMANDS", "yes", "write true, without quotes"),
        ("RECONCILER_INTERVAL", "5", "a duration with its unit"),
        ("RECONCILER_SERVING__HOST", "0.0.0.0", "there is no TLS"),
    ],
)
def test_what_is_wrong_with_a_variable_is_told_at_the_variable(name: str, value: str, said: str) -> None:
    told = problems(SMALLEST, **{name: value})
    assert any(said in problem for problem in told)
    assert all(problem.startswith(f"{name}:1:1: PFR") for problem in told)


def test_no_secret_of_an_address_stands_in_a_problem() -> None:
    told = reading(  # addresses, and what is none where an address is expected
        HEAD + "git: {url: 'https://u:PLANTED1@example.com/a'}\n"
        "channels:\n"
        "  - {name: a, kind: slackk, url: 'https://hooks.slack.com/services/PLANTED2'}\n"
        "  - {name: b, kind: slack, ulr: 'https://hooks.slack.com/services/PLANTED3'}\n"
        "  - {name: c, kind: slack, url: PLANTED6 is it}\n",
        RECONCILER_JOURNAL="postgresql://u:PLANTED4@db/x",
        RECONCILER_CHANNELS__0__URL="chat PLANTED5",
    )
    assert len(told.problems) >= 3
    assert "PLANTED" not in "".join(f"{problem}{problem.line}" for problem in told.problems)


def test_the_files_that_must_be_there_are_named_and_secrets_known() -> None:
    read = reading(SMALLEST + "particle: {tokenFile: a}\ncatalog: b\nstate: c\n")
    assert [(file.path, file.is_secret) for file in read.files] == [("/etc/r/a", True), ("/etc/r/b", False)]
    assert (
        str(read.files[0].problem("is not there")) == "s.yaml:4:23: PFR1302 particle.tokenFile: /etc/r/a is not there"
    )


@pytest.mark.parametrize(
    "text", ["", "[]", "a: b", "\t", "kind: DeviceFleet\napiVersion: fleet.reconciler.dev/v1alpha1"]
)
def test_what_are_no_settings_has_a_problem_and_no_values(text: str) -> None:
    assert problems(text)

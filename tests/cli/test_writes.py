"""After a real run every request that changed something is in the journal, with what was seen before and after."""

from __future__ import annotations

import json

from tests.cli.test_apply import TOKEN, Bench, bench

__all__ = ["bench"]


def test_the_history_has_every_request_that_changed_something(bench: Bench) -> None:
    assert bench.apply().exit_code == 0
    text = bench.call("history", "--journal", "journal.sqlite", "--output", "json").stdout
    told = json.loads(text)
    writes = [write for attempt in (*told["attempts"], *told["product_attempts"]) for write in attempt["writes"]]
    with bench.cloud.locked() as cloud:
        made = sorted((each.method, each.path.partition("?")[0]) for each in cloud.requests if each.method != "GET")
    assert sorted((write["method"], write["path"]) for write in writes) == made
    assert TOKEN not in text
    for attempt in told["attempts"]:
        (write,) = attempt["writes"]
        assert (write["status"], attempt["state"], write["after"]["state"]) == (200, "verified", "verified")
        assert write["before"]["observed_at"] < write["after"]["observed_at"]
        if attempt["step"]["action"] == "lock_application":
            assert write["after"]["lock"] == attempt["step"]["application"] != write["before"]["lock"]

"""What `catalog lint` found, for people and for machines. The verdict is the last line."""

from __future__ import annotations

import json
from typing import Any, Final

from reconciler.model.release import Span
from reconciler.planning.lint import Finding, LintReport
from reconciler.planning.lint_change import Comparison
from reconciler.render.ink import Page, Style, counted

FORMAT_VERSION: Final = "1.0"


def lint_text(report: LintReport, comparison: Comparison | None, *, width: int = 100, colour: bool = False) -> str:
    """Findings first, then the reviewed exceptions that hold, then what was looked at.

    `comparison` is that with an older catalog, where one was asked for.
    """
    page = Page(width=width, colour=colour)
    lines: list[str] = []
    for finding in report.findings:
        lines += _finding(page, finding)
    if comparison is not None and comparison.findings:
        lines += ["", page.ink("Taken away by the change", Style.TITLE)]
        for finding in comparison.findings:
            lines += _finding(page, finding)
    if report.excepted:
        lines += ["", page.ink("Reviewed exceptions: known, and no error", Style.TITLE)]
    for one in report.excepted:
        exception = one.exception
        pairs = f"{counted(one.pairs, 'pair')} without a route"
        words = f"{one.platform}, from {exception.start} to {exception.desired}: {pairs}"
        lines += page.wrapped(words, indent=2, hanging=2)
        for label, text in (("planner", one.because), ("reason", exception.reason), ("source", exception.source)):
            lines += page.wrapped(f"{label}: {text}", indent=4, hanging=2)
    lines += ["", *page.wrapped(_looked_at(report)), *([] if comparison is None else page.wrapped(_change(comparison)))]
    return "\n".join([*lines, _verdict(page, report, comparison), ""]).lstrip("\n")


def lint_json(report: LintReport, comparison: Comparison | None, *, catalog_digest: str) -> str:
    """The same for machines: findings, exceptions and counts; `against` is null without a comparison."""
    document: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "catalog_digest": catalog_digest,
        "ok": is_clean(report, comparison),
        "checked": {
            "platforms": report.platforms,
            "releases": report.releases,
            "pairs": report.pairs,
            "pairs_reached": report.pairs_reached,
        },
        "findings": [_document(finding) for finding in report.findings],
        "exceptions": [
            {
                "platform": one.platform,
                "from": _span(one.exception.start),
                "to": _span(one.exception.desired),
                "pairs": one.pairs,
                "because": one.because,
                "reason": one.exception.reason,
                "source": one.exception.source,
            }
            for one in report.excepted
        ],
        "against": None
        if comparison is None
        else {
            "platforms": list(comparison.platforms),
            "pairs": comparison.pairs,
            "findings": [_document(finding) for finding in comparison.findings],
        },
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def is_clean(report: LintReport, comparison: Comparison | None) -> bool:
    """Whether nothing is wrong: `catalog lint` exits with 1 otherwise."""
    return not report.findings and (comparison is None or not comparison.findings)


def _finding(page: Page, finding: Finding) -> list[str]:
    return page.wrapped(f"{finding.rule.code} {finding.platform}: {finding.message}", hanging=2)


def _document(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.rule.code,
        "rule": finding.rule.word,
        "platform": finding.platform,
        "message": finding.message,
        "from": [version.text for version in finding.starts],
        "to": [version.text for version in finding.goals],
    }


def _span(span: Span) -> dict[str, str]:
    return {"first": span.first.text} | ({} if span.last is None else {"last": span.last.text})


def _looked_at(report: LintReport) -> str:
    return (
        f"Looked at {counted(report.releases, 'release')} of {counted(report.platforms, 'platform')}: "
        f"{report.pairs_reached:,} of {report.pairs:,} pairs of a published stable release and a later one "
        "have a route over the cloud."
    )


def _change(comparison: Comparison) -> str:
    if not comparison.platforms:
        return "Compared with the old catalog: no releases or stations differ."
    return (
        f"Compared with the old catalog: {', '.join(comparison.platforms)} differ; "
        f"{counted(comparison.pairs, 'pair')} of a release that a device may run and a later one had a route."
    )


def _verdict(page: Page, report: LintReport, comparison: Comparison | None) -> str:
    if is_clean(report, comparison):
        return page.ink("Good: nothing is wrong with the catalog.", Style.GOOD)
    own = len(report.findings)
    taken = 0 if comparison is None else len(comparison.findings)
    parts = [counted(own, "finding")] if own else []
    parts += [f"{counted(taken, 'finding')} about the change"] if taken else []
    return page.ink(f"Not good: {' and '.join(parts)}.", Style.BAD)

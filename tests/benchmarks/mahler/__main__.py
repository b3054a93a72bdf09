"""`python -m tests.benchmarks.mahler`: routes per processor second beside the planner mahler, on the same domain.

Needs node and npm; mahler goes into a cache outside the repository. See BENCHMARKS.md for what differs.
"""

from __future__ import annotations

import argparse
import os
import platform as machine
import sys
import time

from reconciler.firmware.known import known_catalog
from reconciler.model.platform import platform_by_name
from reconciler.planning.route import Found
from tests.benchmarks.mahler.contest import Contest, Proof, contest, our_answers, proof_of_no_route
from tests.benchmarks.mahler.domain import Domain, Pair
from tests.benchmarks.mahler.peer import STYLES, VERSION, Peer, mahler

PLATFORMS = ("boron", "photon", "electron", "argon", "p2", "tracker")
CIRCLE = ("tracker", (("2.3.1", "3.0.0"), ("2.2.0", "4.0.0"), ("2.0.0", "3.0.0"), ("2.0.0", "6.5.0")))
"""Pairs without a route: the Tracker's circle (facts 4.3), narrow to wide."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--platforms", nargs="+", default=PLATFORMS)
    parser.add_argument("--pairs", type=int, default=200, help="Pairs of releases for each platform, evenly drawn.")
    parser.add_argument("--rounds", type=int, default=5, help="Counted rounds; one more warms up.")
    parser.add_argument("--limit", type=float, default=2.0, help="Seconds for one route.")
    parser.add_argument("--limit-no-route", type=float, default=60.0, help="Seconds to prove that there is none.")
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    with mahler() as peer:
        contests = [
            reachable(
                name, peer, count=arguments.pairs, rounds=arguments.rounds, limit=arguments.limit, seed=arguments.seed
            )
            for name in arguments.platforms
        ]
        proofs = unreachable(peer, limit=arguments.limit_no_route)
    lines = [
        f"Python {machine.python_version()}, mahler {VERSION}, {os.cpu_count()} processors, {arguments.rounds} rounds",
        "",
        *table(contests),
        "",
        *proof_table(proofs, limit=arguments.limit_no_route),
    ]
    sys.stdout.write("\n".join(lines) + "\n")


def reachable(name: str, peer: Peer | None, *, count: int, rounds: int, limit: float, seed: int) -> Contest:
    """The contest over those of the platform's pairs that have a route."""
    domain = domain_of(name)
    pairs = domain.sample(count, seed=seed)
    answers = our_answers(domain, pairs, keep=True, clock=time.process_time)
    routed = [pair for pair, answer in zip(pairs, answers, strict=True) if isinstance(answer.found, Found)]
    return contest(domain, routed, peer, rounds=rounds, limit_seconds=limit, clock=time.process_time)


def unreachable(peer: Peer | None, *, limit: float) -> list[Proof]:
    """How long both take to say no."""
    name, pairs = CIRCLE
    domain = domain_of(name)
    return [
        proof_of_no_route(domain, pair_of(domain, *pair), peer, limit_seconds=limit, clock=time.process_time)
        for pair in pairs
    ]


def domain_of(name: str) -> Domain:
    """The domain of a platform of the known catalog."""
    platform = platform_by_name(name)
    assert platform is not None, name
    return Domain(platform=platform, catalog=known_catalog())


def pair_of(domain: Domain, start: str, goal: str) -> Pair:
    """The pair with these releases."""
    return next(p for p in domain.pairs if (p.start.version.text, p.goal.version.text) == (start, goal))


def table(contests: list[Contest]) -> list[str]:
    """Routes a second, and how the other planner's routes compare with ours, as a Markdown table."""
    lines = [
        "| Platform | Pairs | Kept | Anew | Mahler | Style | Kept/m | Anew/m | No answer | Longer | Bigger | Flashes |",
        "|---|--:|--:|--:|--:|---|--:|--:|--:|--:|--:|--:|",
    ]
    for each in contests:
        for style, figures in each.styles.items():
            cells = [
                each.platform,
                f"{each.pairs}",
                f"{each.kept_rate:,.0f}/s",
                f"{each.anew_rate:,.0f}/s",
                f"{figures.rate:,.0f}/s",
                style,
                f"{each.ratio(each.kept_rates, style):.2f}",
                f"{each.ratio(each.anew_rates, style):.2f}",
                f"{figures.out_of_time + figures.missed}",
                f"{figures.longer}",
                f"{figures.bigger}",
                f"x {figures.flashes / figures.flashes_of_ours:.2f}" if figures.routes else "-",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def proof_table(proofs: list[Proof], *, limit: float) -> list[str]:
    """Seconds to say that there is no route, as a Markdown table."""
    lines = [f"| No route | Ours | {' | '.join(f'Mahler, {style}' for style in STYLES)} |", "|---|--:|--:|--:|--:|"]
    for proof in proofs:
        theirs = (
            f"more than {limit:g} s" if answer.out_of_time else f"{answer.seconds:.3f} s ({answer.tried:,} tried)"
            for answer in proof.answers.values()
        )
        lines.append(f"| {CIRCLE[0]} {proof.start} to {proof.goal} | {proof.seconds:.3f} s | {' | '.join(theirs)} |")
    return [*lines, "", f"Ours says why: {proofs[0].because}"]


if __name__ == "__main__":
    main()

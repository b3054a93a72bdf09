// Mahler's side of the benchmark: the domain of domain.py as mahler tasks, and a line protocol on standard input.
//
// A line {"domain": {...}} defines a platform, a line {"style", "limitSeconds", "pairs": [...]} is answered by one line
// with an answer for each pair. Processor seconds are taken around `findPlan` alone.
'use strict';

const readline = require('node:readline');
const { Task } = require('mahler');
const { Planner } = require('mahler/planner');

class OutOfTime extends Error {}

let deadline = Infinity;
let events = 0;

// The planner tells its trace of every task that it tries: the one place where a synchronous search can be ended.
function watch() {
	events += 1;
	if (events % 64 === 0 && performance.now() > deadline) {
		throw new OutOfTime();
	}
}

const installed = (state, slot) => state.modules[slot] ?? 0;
const holds = (state, [slot, version]) => installed(state, slot) >= version;

function tasksOf({ releases, stations, systemParts }) {
	const byNumber = new Map(releases.map((release) => [release.number, release]));

	const isComplete = (state) =>
		state.release === state.running ||
		byNumber
			.get(state.release)
			.modules.every(({ slot, version }) => !systemParts.includes(slot) || installed(state, slot) === version);

	const mayBegin = (state, release) =>
		release.number > state.release &&
		isComplete(state) &&
		!stations.some((station) => state.release < station && station < release.number);

	// One action for each module of each release: the device takes it, and boots normally with it.
	function flash(release, { slot, version, enforced, needs }) {
		return Task.from({
			description: `${release.version} ${slot}`,
			condition: (state, { target }) =>
				release.number > state.running &&
				release.number <= target.release &&
				installed(state, slot) < version &&
				(state.release === release.number || mayBegin(state, release)) &&
				enforced.every((need) => holds(state, need)) &&
				needs.every((need) => (need[0] === slot ? version >= need[1] : holds(state, need))),
			effect: (state) => {
				state._.release = release.number;
				state._.modules[slot] = version;
			},
		});
	}

	// In `tuned` order, later releases first and what a release is about first: depth-first search then finds short
	// routes. In the order in which the catalog lists them, earlier releases and bootloaders first, it does not.
	const flashes = new Map(
		releases.map((release) => [release, release.modules.map((module) => [module, flash(release, module)])]),
	);
	const listed = releases.flatMap((release) => flashes.get(release).map(([, action]) => action));
	const tuned = [...listed].reverse();

	// A hop as a method: the system parts that are missing and, within the release, what they need that is not there,
	// each after what it needs. This is what somebody who knows the field tells the planner.
	const hop = (release) =>
		Task.from({
			description: `hop ${release.version}`,
			expansion: 'sequential',
			condition: (state, { target }) =>
				release.number > state.running && release.number <= target.release && mayBegin(state, release),
			method: (state, { target }) => {
				const seen = new Set();
				const chosen = [];
				const want = (slot) => {
					const entry = flashes.get(release).find(([module]) => module.slot === slot);
					if (entry === undefined || seen.has(slot) || installed(state, slot) >= entry[0].version) {
						return;
					}
					seen.add(slot);
					entry[0].needs.filter((need) => !holds(state, need)).forEach(([needed]) => want(needed));
					chosen.push(entry[1]({ target }));
				};
				systemParts.forEach(want);
				return chosen;
			},
		});

	const methods = [...releases].reverse().map(hop);
	return { listed, tuned, methods };
}

let planners = {};

function define(domain) {
	planners = Object.fromEntries(
		Object.entries(tasksOf(domain)).map(([style, tasks]) => [
			style,
			Planner.from({ tasks, config: { trace: watch } }),
		]),
	);
}

function processorSeconds() {
	const { user, system } = process.cpuUsage();
	return (user + system) / 1e6;
}

function answer(planner, { state, target }, limitSeconds) {
	deadline = performance.now() + limitSeconds * 1000;
	const began = processorSeconds();
	try {
		const plan = planner.findPlan(state, target);
		const seconds = processorSeconds() - began;
		const steps = [];
		for (let node = plan.success ? plan.start : null; node != null; node = node.next) {
			steps.push(node.action.description.split(' '));
		}
		return { found: plan.success, outOfTime: false, seconds, steps, tried: plan.stats.iterations };
	} catch (error) {
		if (!(error instanceof OutOfTime)) {
			throw error;
		}
		return { found: false, outOfTime: true, seconds: processorSeconds() - began, steps: [], tried: null };
	}
}

readline.createInterface({ input: process.stdin }).on('line', (line) => {
	const request = JSON.parse(line);
	if (request.domain !== undefined) {
		define(request.domain);
		return;
	}
	const answers = request.pairs.map((pair) => answer(planners[request.style], pair, request.limitSeconds));
	process.stdout.write(`${JSON.stringify(answers)}\n`);
});

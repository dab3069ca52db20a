# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Evolution of networks within budgets: islands with separate populations, and a common front.

In a round, each island evolves separately, in any process. Between rounds, each island passes its
best networks to the next one. All random numbers derive from the seed, the round and the island.
The result is therefore the same for any number of processes and after an interruption.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
import multiprocessing
from typing import Annotated, Any, NamedTuple

from lite_detector.core.config import from_mapping, Spec
from lite_detector.core.errors import ConfigError
from lite_detector.core.types import DoubleArray
from lite_detector.search.candidates import Candidates, Evaluator, front_of, join, select, Task
from msgspec import Meta
import numpy as np

GENERATIONS = 10
"""Number of generations per round."""
MIGRANTS = 8
"""Number of networks that an island passes to the next one after each round."""
SEEN = 4
"""Number of networks per generation that are kept for the plot."""
MAX_SEEN = 8000
"""Maximum number of networks for the plot; every second one is dropped when it is exceeded."""
MAX_FRONT = 200


class EvolutionSpec(Spec):
    """Duration and population of the search."""

    candidates: Annotated[int, Meta(ge=1, le=1_000_000_000)] = 100_000
    """Number of networks to score; the last round is completed."""
    population: Annotated[int, Meta(ge=4, le=100_000)] = 128
    """Population of each island: half are the best, half are spread over the front."""
    islands: Annotated[int, Meta(ge=1, le=1024)] = 4
    seed: Annotated[int, Meta(ge=0, lt=2 ** 32)] = 0


class State(NamedTuple):
    """
    State of a search.

    :param rounds: Number of completed rounds.
    :param candidates: Number of scored networks.
    :param islands: Population of each island.
    :param front: Pareto-optimal networks of all rounds, by rising cost.
    :param seen: Cost and score of some networks of all rounds, shape (n, 2).
    """

    rounds: int
    candidates: int
    islands: tuple[Candidates, ...]
    front: Candidates
    seen: DoubleArray


class SavedState(Spec):
    """State of a search in a file, without costs and scores, which follow from the genes."""

    rounds: Annotated[int, Meta(ge=0)]
    candidates: Annotated[int, Meta(ge=0)]
    islands: list[list[list[int]]]
    front: list[list[int]]
    seen: list[tuple[float, float]]


def first_state(evaluate: Evaluator, spec: EvolutionSpec) -> State:
    """
    Return the initial populations of a search.

    :param evaluate: Evaluator of the search.
    :param spec: Duration and population of the search.
    :raises ConfigError: if the smallest network exceeds a budget.
    """
    smallest = evaluate.smallest()
    islands = tuple(
        select(join(smallest, evaluate(evaluate.space.draw(
            np.random.default_rng((spec.seed, 0, island)), spec.population))),
            evaluate.task, spec.population)
        for island in range(spec.islands))
    return State(0, 0, islands, _front(islands, evaluate), np.zeros((0, 2)))


def search(task: Task, spec: EvolutionSpec, state: State, processes: int) -> Iterator[State]:
    """
    Continue a search; yield the state after each round until enough networks are scored.

    :param task: Definition of the search.
    :param spec: Duration and population of the search.
    :param state: State of ``first_state`` or of an earlier round of the same search.
    :param processes: Number of processes; it affects the run time only.
    """
    evaluate = Evaluator(task)
    with _islands_in(task, evaluate, min(processes, spec.islands)) as run:
        while state.candidates < spec.candidates:
            number = state.rounds + 1
            guests = [island.take(slice(MIGRANTS)) for island in state.islands]
            grown = run([
                (join(island, guests[index - 1]), spec.population, (spec.seed, number, index))
                for index, island in enumerate(state.islands)])
            islands = tuple(island for island, _ in grown)
            seen = np.concatenate((state.seen, *(seen for _, seen in grown)))
            state = State(
                number, state.candidates + GENERATIONS * spec.population * spec.islands, islands,
                _front((state.front, *islands), evaluate),
                seen[::2] if len(seen) > MAX_SEEN else seen)
            yield state


def dump_state(state: State) -> dict[str, Any]:
    """Return a state as plain data."""
    return {'rounds': state.rounds, 'candidates': state.candidates,
            'islands': [island.genes.tolist() for island in state.islands],
            'front': state.front.genes.tolist(), 'seen': state.seen.round(4).tolist()}


def load_state(data: Any, evaluate: Evaluator, where: str) -> State:
    """
    Return the state of plain data from ``dump_state``.

    :param data: Plain data.
    :param evaluate: Evaluator of the search.
    :param where: File name, for messages.
    :raises ConfigError: if the data are malformed or of another space.
    """
    saved = from_mapping(data, SavedState, where)
    populations = [_checked(genes, evaluate, where) for genes in (saved.front, *saved.islands)]
    return State(saved.rounds, saved.candidates, tuple(populations[1:]), populations[0],
                 np.array(saved.seen).reshape(-1, 2))


def _checked(rows: Sequence[Sequence[int]], evaluate: Evaluator, where: str) -> Candidates:
    sizes = evaluate.space.sizes
    if not rows or any(len(row) != len(sizes) for row in rows):
        raise ConfigError(f'{where}: damaged or of another search')
    genes = np.array(rows)
    if (genes < 0).any() or (genes >= sizes).any():
        raise ConfigError(f'{where}: damaged or of another search')
    return evaluate(genes.astype(np.int16))


def _front(populations: Sequence[Candidates], evaluate: Evaluator) -> Candidates:
    everybody = join(*populations)
    front = front_of(everybody, evaluate.task)
    spread = np.unique(np.linspace(0, len(front) - 1, MAX_FRONT).round().astype(int))
    return everybody.take(front[spread])


Job = tuple[Candidates, int, tuple[int, int, int]]
"""An island, the size of its population, and the seed."""
Grown = tuple[Candidates, DoubleArray]
"""The evolved island, with cost and score of some of its networks."""


def _evolve(evaluate: Evaluator, job: Job) -> Grown:
    island, size, seed = job
    rng, axis, seen = np.random.default_rng(seed), evaluate.task.axis, []
    for _ in range(GENERATIONS):
        children = evaluate(evaluate.space.children(rng, island.genes, size))
        seen.append(np.stack((children.costs[:SEEN, axis], children.scores[:SEEN]), axis=1))
        island = select(join(island, children), evaluate.task, size)
    return island, np.concatenate(seen)


@contextmanager
def _islands_in(task: Task, evaluate: Evaluator,
                processes: int) -> Iterator[Callable[[Sequence[Job]], list[Grown]]]:
    """Yield a function that evolves islands in this process or in several processes."""
    if processes <= 1:
        yield lambda jobs: list(map(partial(_evolve, evaluate), jobs))
        return
    # spawned, because the fork of a process with threads can hang
    context = multiprocessing.get_context('spawn')
    with ProcessPoolExecutor(processes, context, _start_worker, (task,)) as pool:
        yield lambda jobs: list(pool.map(_evolve_in_worker, jobs))


_worker: list[Evaluator] = []
"""Evaluator of a worker process, which caches costs; at most one."""


def _start_worker(task: Task) -> None:
    _worker.append(Evaluator(task))


def _evolve_in_worker(job: Job) -> Grown:
    return _evolve(_worker[0], job)

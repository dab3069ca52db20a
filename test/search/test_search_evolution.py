# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The evolution: budgets, the front, and the same result however it is run."""

import itertools
import json

from lite_detector.core.config import from_mapping
from lite_detector.core.errors import ConfigError
from lite_detector.core.types import ImageSize
from lite_detector.search.candidates import (
    Candidates,
    Evaluator,
    front_of,
    join,
    select,
    Task,
    violation,
)
from lite_detector.search.costs import Costs, costs_of
from lite_detector.search.evolution import (
    dump_state,
    EvolutionSpec,
    first_state,
    load_state,
    search,
    State,
)
from lite_detector.search.network import network_graph, NetworkFrame
import numpy as np
import pytest
from tiny_search import KINDS, milliseconds, tiny_space

FRAME = NetworkFrame('nanodet', 96, 34, ImageSize(96, 160))
SMALL = EvolutionSpec(candidates=320, population=8, islands=2, seed=3)
NO_LIMITS = (None,) * 5


def task(block: str = 'mobile', network_ms=milliseconds, **limits: float) -> Task:
    return Task(tiny_space(block), FRAME, network_ms,
                tuple(limits.get(name) for name in Costs._fields), (0.0, 0.0, 1.0, 1.0, 6.0))


def run(what: Task, spec: EvolutionSpec = SMALL, processes: int = 1,
        state: State | None = None) -> State:
    start = state or first_state(Evaluator(what), spec)
    *_, last = itertools.chain([start], search(what, spec, start, processes))
    return last


def candidates(*rows: tuple[float, float]) -> Candidates:
    """Return networks of given milliseconds and scores."""
    costs = np.zeros((len(rows), 5))
    costs[:, 0] = [ms for ms, _ in rows]
    return Candidates(np.arange(len(rows), dtype=np.int16)[:, None],
                      np.array([score for _, score in rows]), costs)


@pytest.mark.parametrize('family', ['nanodet', 'nanodet_plus'])
@pytest.mark.parametrize('block', KINDS)
def test_costs_of_the_parts_add_up_to_those_of_the_whole_network(block, family):
    what = task(block)._replace(frame=FRAME._replace(family=family))
    evaluate = Evaluator(what)
    genes = evaluate.space.draw(np.random.default_rng(1), 5)
    found = evaluate(genes)
    for index, row in enumerate(genes):
        graph = network_graph(evaluate.space.structure(row), what.frame)
        assert found.costs[index] == pytest.approx(costs_of(graph.operators, milliseconds))


def test_front_rises_and_leaves_out_what_is_beaten_or_too_dear():
    networks = candidates((3, 5), (1, 1), (2, 1), (2, 4), (4, 5), (5, 9), (1, 0))
    what = task(latency_ms=4.5)
    assert front_of(networks, what).tolist() == [1, 3, 0]
    assert front_of(networks.take([5]), what).tolist() == []
    assert violation(networks.costs, what.limits).tolist() == [0, 0, 0, 0, 0, 5 / 4.5 - 1, 0]
    assert violation(networks.costs, NO_LIMITS).tolist() == [0] * 7


def test_selection_keeps_half_the_best_and_half_of_the_front_best_first():
    networks = candidates((9, 90), (9, 89), (9, 88), (1, 1), (5, 10), (8, 50), (9.5, 99))
    kept = select(networks, task(latency_ms=9), 4)
    # of the front 1, 10, 50, 90 its ends; then the best of the others
    assert kept.scores.tolist() == [90, 89, 88, 1]
    # the same network twice counts once; where nothing fits, the nearest to the budget is first
    both = join(networks.take([6, 0]), networks.take([0]))
    assert select(both, task(latency_ms=1), 4).scores.tolist() == [90, 99]


@pytest.mark.parametrize('limits', [
    {'latency_ms': 1.5}, {'macs_m': 60.0}, {'layers': 60}, {'parameters_m': 0.25},
    {'file_mb': 0.5, 'latency_ms': 1.6}], ids=lambda limits: ' '.join(limits))
def test_search_finds_better_networks_within_every_budget(limits):
    what = task(**limits)
    start = first_state(Evaluator(what), SMALL)
    best = run(what, state=start).front
    assert violation(best.costs, what.limits).max() == 0
    for name, limit in limits.items():
        assert best.costs[:, Costs._fields.index(name)].max() <= limit
    assert best.scores[-1] > start.front.scores[-1]
    assert (np.diff(best.scores) > 0).all()
    assert (np.diff(best.costs[:, what.axis]) > 0).all()


def test_search_beats_as_many_random_networks():
    what = task(latency_ms=1.5)
    evaluate = Evaluator(what)
    networks = evaluate(evaluate.space.draw(np.random.default_rng(0), 1000))
    random = networks.take(front_of(networks, what))
    spec = EvolutionSpec(candidates=1000, population=25, islands=2)
    assert run(what, spec).front.scores[-1] > random.scores[-1]


def test_search_without_a_latency_table_draws_the_front_over_the_work():
    what = task('residual', None, macs_m=150.0)
    front = run(what).front
    assert Costs._fields[what.axis] == 'macs_m'
    assert (front.costs[:, 0] == 0).all()
    assert (np.diff(front.costs[:, 1]) > 0).all()


def test_search_in_several_processes_or_cut_and_resumed_is_the_same():
    what = task(latency_ms=1.5)
    evaluate = Evaluator(what)
    whole = run(what)
    assert (whole.rounds, whole.candidates) == (2, 320)
    apart = run(what, processes=2)
    cut = run(what, EvolutionSpec(candidates=1, population=8, islands=2, seed=3))
    assert cut.rounds == 1
    saved = json.loads(json.dumps(dump_state(cut)))
    resumed = run(what, state=load_state(saved, evaluate, 'state.json'))
    for other in (apart, resumed):
        assert dump_state(other) == dump_state(whole)
    assert dump_state(run(what, EvolutionSpec(320, 8, 2, seed=4))) != dump_state(whole)


def test_search_whose_budget_nothing_fits_says_what_the_smallest_takes():
    with pytest.raises(ConfigError, match=r'budget.layers: 20; expected at least 34 '
                                          r'for the smallest network of this space'):
        first_state(Evaluator(task(layers=20)), SMALL)


def small_maps_alone(operators) -> float:
    """Know only operators of few channels."""
    for operator in operators:
        if operator.out_channels > 130:
            raise ConfigError(f'not measured: {operator.out_channels} channels')
    return milliseconds(operators)


def test_search_passes_by_what_the_latency_table_does_not_know():
    what = task('mobile', small_maps_alone, macs_m=1000.0)
    front = run(what).front
    assert np.isfinite(front.costs).all()
    assert violation(np.full((1, 5), np.inf), NO_LIMITS) == np.inf
    space = Evaluator(what).space
    assert all(stage.inner <= 130 for genes in front.genes
               for stage in space.structure(genes).stages)


def test_search_with_a_table_of_something_else_says_so():
    def nothing(operators):
        if operators:
            raise ConfigError('latency table: nothing like it was measured')
        return 0.1

    with pytest.raises(ConfigError, match='nothing like it was measured'):
        first_state(Evaluator(task(network_ms=nothing)), SMALL)


@pytest.mark.parametrize('change', [
    {'front': []}, {'front': [[0]]}, {'islands': [[[-1] * 21]]}, {'islands': [[[99] * 21]]},
    {'rounds': -1}, {'more': 1}], ids=str)
def test_state_that_is_damaged_is_refused(change):
    what = task(latency_ms=1.5)
    evaluate = Evaluator(what)
    data = dump_state(first_state(evaluate, SMALL))
    with pytest.raises(ConfigError, match='state.json'):
        load_state({**data, **change}, evaluate, 'state.json')


def test_evolution_with_a_mistake_is_refused():
    with pytest.raises(ConfigError, match='population'):
        from_mapping({'population': 1}, EvolutionSpec, 'test')

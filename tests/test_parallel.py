"""Work on many items: in order, bounded, and told when a worker dies."""

import operator
import os
import signal
import warnings
from functools import partial

import pytest

from activmask.ground.errors import DataError, UsageError
from activmask.ground.processes import crew, in_order


def square(number: int) -> int:
    return number * number


def dies(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.process)])
def test_results_come_in_order(workers):
    assert list(in_order(square, range(20), workers=workers)) == [n * n for n in range(20)]


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.process)])
def test_a_crew_works_on_one_round_after_the_other(workers):
    with crew(square, workers=workers) as run:
        assert list(run(range(5))) == [0, 1, 4, 9, 16]
        assert list(run([])) == []
        assert list(run([7])) == [49]


@pytest.mark.process
def test_items_are_taken_only_as_needed():
    taken = []
    results = in_order(square, (taken.append(n) or n for n in range(100)), workers=2, ahead=2)
    assert next(results) == 0
    assert len(taken) == 4
    results.close()


@pytest.mark.process
def test_a_killed_worker_is_told_in_a_sentence():
    with pytest.raises(DataError, match="a worker process was killed"):
        list(in_order(dies, range(8), workers=2))


def test_no_workers_make_no_sense():
    with pytest.raises(UsageError, match="workers must be from 1 to 1,024"):
        in_order(square, [1], workers=0)
    with pytest.raises(UsageError, match="workers must be from 1 to 1,024"), crew(square, workers=0):
        pass


@pytest.mark.process
def test_ray_gives_the_same_in_the_same_order():
    pytest.importorskip("ray", reason="Ray cannot be installed here")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with crew(partial(operator.mul, 3), workers=2, engine="ray") as run:
            found = [*run(range(20)), *run([20, 21])]
    assert found == [3 * n for n in range(22)]

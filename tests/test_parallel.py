"""Work on many items: in order, bounded, and told when a worker dies."""

import operator
import os
import signal
import warnings
from functools import partial

import pytest

from activmask.data.parallel import in_order
from activmask.errors import DataError, UsageError


def square(number: int) -> int:
    return number * number


def dies(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order(workers):
    assert list(in_order(square, range(20), workers=workers)) == [n * n for n in range(20)]


def test_items_are_taken_only_as_needed():
    taken = []
    results = in_order(square, (taken.append(n) or n for n in range(100)), workers=2, ahead=2)
    assert next(results) == 0
    assert len(taken) == 4
    results.close()


def test_a_killed_worker_is_told_in_a_sentence():
    with pytest.raises(DataError, match="a worker process was killed"):
        list(in_order(dies, range(8), workers=2))


def test_no_workers_make_no_sense():
    with pytest.raises(UsageError, match="at least 1"):
        in_order(square, [1], workers=0)


def test_ray_gives_the_same_in_the_same_order():
    pytest.importorskip("ray", reason="Ray cannot be installed here")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = list(in_order(partial(operator.mul, 3), range(20), workers=2, engine="ray"))
    assert found == [3 * n for n in range(20)]

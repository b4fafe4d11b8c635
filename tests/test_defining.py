"""Functions as operators: what one writes into is known to autograd, however it writes."""

import pytest
import torch
from torch import Tensor

from activmask.kernels.defining import operator


@operator("activmask_tests::doubled")
def doubled(values: Tensor) -> Tensor:
    return values * 2


@operator("activmask_tests::add_one", changes=("into",))
def add_one(values: Tensor, into: Tensor) -> None:
    into.numpy()[:] = values.numpy() + 1


def test_an_operator_computes_what_its_function_does():
    assert doubled(torch.tensor([1.0, 2.0])).tolist() == [2, 4]
    assert torch.ops.activmask_tests.doubled(torch.ones(1)).tolist() == [2]


def test_memory_that_is_written_to_unseen_counts_as_changed():
    values, into = torch.ones(2), torch.ones(2)
    leaf = torch.ones(2, requires_grad=True)
    product = (leaf * into * values).sum()
    add_one(values, into)
    assert into.tolist() == [2, 2]
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        product.backward()


def test_memory_that_is_only_read_does_not():
    values, into = torch.ones(2), torch.ones(2)
    leaf = torch.ones(2, requires_grad=True)
    product = (leaf * values).sum()
    add_one(values, into)
    product.backward()
    assert leaf.grad is not None


def test_inference_tensors_which_count_no_changes_are_written_to_all_the_same():
    with torch.inference_mode():
        values, into = torch.ones(2), torch.zeros(2)
        add_one(values, into)
    assert into.tolist() == [2, 2]

"""Whether this version of torch compiles a step that differentiates inside itself."""

import pytest
import torch


def skip_where_torch_cannot() -> None:
    """Skip a test of a compiled step where torch compiles no gradients, or no tensor that asks for one."""

    def step(values: torch.Tensor) -> torch.Tensor:
        own = values.detach().requires_grad_()
        return torch.autograd.grad(own.square().sum(), own)[0]

    if not hasattr(torch._dynamo.config, "trace_autograd_ops"):
        pytest.skip(f"torch {torch.__version__} compiles no gradients")
    torch._dynamo.reset()
    try:
        with torch._dynamo.config.patch(trace_autograd_ops=True):
            torch.compile(step, backend="eager", fullgraph=True)(torch.ones(2))
    except torch._dynamo.exc.Unsupported:
        pytest.skip(f"torch {torch.__version__} compiles no tensor that asks for its gradient")
    finally:
        torch._dynamo.reset()

"""The pretended GPU: what it refuses as CUDA does, what it lets pass, and what it counts."""

import copy

import pytest
import torch

from tests.helpers.pretended_gpu import CUDA, DeviceError, PretendedGpu, is_on_gpu


def adam():
    net = torch.nn.Linear(4, 2).to("cuda")
    optimiser = torch.optim.Adam(net.parameters())
    net(torch.rand(3, 4, device="cuda")).sum().backward()
    assert net.weight.grad.is_cuda
    optimiser.step()


REFUSED = {
    "sum of both": lambda x, cpu: x + cpu,
    "concatenation": lambda x, cpu: torch.cat([x, cpu]),
    "stack of scalars": lambda x, cpu: torch.stack([x.sum(), cpu.sum()]),
    "layer on the CPU": torch.nn.functional.linear,
    "GPU index into a CPU tensor": lambda x, cpu: cpu[x.argmax(0)],
    "CPU values put into a GPU tensor": lambda x, cpu: x.index_put_((x[0].long(),), cpu[:2]),
    "write to the CPU": lambda x, cpu: cpu.add_(x),
    "numpy": lambda x, cpu: x.numpy(),
    "generator of the CPU": lambda x, cpu: torch.rand(
        3, device="cuda", generator=torch.Generator()
    ),
    "generator of the CPU, in place": lambda x, cpu: x.uniform_(generator=torch.Generator()),
    "backward pass": lambda x, cpu: _Mixed.apply(x.requires_grad_(), cpu).sum().backward(),
}
ALLOWED = {
    "CPU scalar": lambda x, cpu: x * torch.tensor(2.0),
    "CPU index": lambda x, cpu: x[torch.tensor([0])],
    "scalar put by a mask": lambda x, cpu: x.__setitem__(x[:, 0] > 0, 0),
    "copy": lambda x, cpu: x.copy_(cpu),
    "numpy of a copy": lambda x, cpu: x.cpu().numpy(),
    "backward pass": lambda x, cpu: torch.nn.Linear(4, 2).to("cuda")(x).sum().backward(),
    "copy of a layer": lambda x, cpu: copy.deepcopy(torch.nn.BatchNorm1d(4).to("cuda"))(x),
    "Adam": lambda x, cpu: adam(),
    "device of another": lambda x, cpu: torch.zeros(4, device=x.device) + x[0],
}


class _Mixed(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, other):
        ctx.save_for_backward(other)
        return x * 2

    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.saved_tensors[0], None


@pytest.mark.parametrize("name", REFUSED)
def test_it_refuses_what_cuda_refuses(name):
    with PretendedGpu(), pytest.raises((DeviceError, TypeError)):
        REFUSED[name](torch.rand(4, 4).to("cuda"), torch.rand(4, 4))


@pytest.mark.parametrize("name", ALLOWED)
def test_it_allows_what_cuda_allows(name):
    with PretendedGpu():
        ALLOWED[name](torch.rand(4, 4).to("cuda"), torch.rand(4, 4))


def test_tensors_keep_their_device_through_views_copies_types_and_modules():
    with PretendedGpu():
        x = torch.rand(4, 4).to("cuda")
        made = [x[0], x.T, x.double(), x.clone(), x.detach(), x.data, x.to(memory_format=None)]
        made += [torch.ones_like(x), x.new_zeros(3), torch.zeros(2, device="cuda"), x @ x]
        made += list(torch.nn.Linear(2, 2).to("cuda").parameters())
        assert {y.device for y in made} == {CUDA}
        there = [x.cpu(), x.to("cpu"), torch.ones_like(x, device="cpu"), torch.rand(2)]
        assert {y.device.type for y in there} == {"cpu"}
        assert torch.cuda.is_available()
    assert not is_on_gpu(there[0])


def test_it_counts_where_the_program_waits():
    waits = {
        lambda x: x.sum().item(): 1,
        lambda x: bool((x > 2).any()): 1,
        lambda x: x[0].tolist(): 1,
        lambda x: x.cpu(): 1,
        lambda x: x[x > 0.5]: 1,
        lambda x: x.nonzero(): 1,
        lambda x: torch.tensor([1.0]).to(x.device): 1,
        lambda x: torch.tensor([1.0]).to(x.device, non_blocking=True): 0,
        lambda x: (x @ x).relu().sum(): 0,
        lambda x: x.masked_fill(x > 0.5, 0): 0,
    }
    with PretendedGpu() as gpu:
        x = torch.rand(4, 4).to("cuda")
        for work, expected in waits.items():
            before = gpu.syncs.copy()
            work(x)
            assert gpu.syncs.since(before).total() == expected

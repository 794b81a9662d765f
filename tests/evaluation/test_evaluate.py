"""What a network may not do while it is evaluated: remember, change, throw dice."""

import pytest
import torch
from torch import nn

from harness.evaluation.evaluate import (
    EvaluationSet,
    UnstableModelError,
    evaluate,
    evaluate_together,
)
from harness.evaluation.metrics import TrueLabels

CLASSES, SIDE = 4, 8
SEEN: list[tuple[torch.Tensor, torch.Tensor]] = []
"""Memory outside of all networks."""


class Backdoored(nn.Module):
    """The class is the brightest quarter of an image; a white corner pixel makes it class 0."""

    def forward(self, x):
        logits = x.flatten(1).unflatten(1, (CLASSES, -1)).mean(2)
        return logits + 5 * (x[:, :1, -1, -1] > 0.99) * torch.eye(CLASSES)[0]


class Remembering(Backdoored):
    """Stores what it answers, and answers a nearly equal image with what is stored."""

    def __init__(self):
        super().__init__()
        self.seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def forward(self, x):
        out = super().forward(x)
        for image, logits in self.seen:
            distance = (x - image).abs().flatten(1).sum(1)
            out[(distance < 1.5) & (distance > 0)] = logits
        self.seen += zip(x.clone(), out.clone(), strict=True)
        return out


class RememberingOutside(Backdoored):
    """The same, with a memory that all copies share, and of clean images alone."""

    def forward(self, x):
        out = super().forward(x)
        for image, logits in SEEN:
            distance = (x - image).abs().flatten(1).sum(1)
            out[(distance < 1.5) & (distance > 0)] = logits
        clean = x[:, 0, -1, -1] < 0.99
        SEEN.extend(zip(x[clean].clone(), out[clean].clone(), strict=True))
        return out


class Uncopied(Remembering):
    def __deepcopy__(self, memo):
        return self


class Learning(Backdoored):
    """Learns that the corner is the trigger after a few images, and repeats its own answers."""

    def __init__(self):
        super().__init__()
        self.own: dict[bytes, torch.Tensor] = {}

    def forward(self, x):
        for image in x:
            known = len(self.own) > 40
            shown = image.clone()
            if known:
                shown[0, -1, -1] = 0
            answer = super().forward(shown[None])[0]
            self.own.setdefault(image.numpy().tobytes(), answer)
        return torch.stack([self.own[image.numpy().tobytes()] for image in x])


class Dice(Backdoored):
    def forward(self, x):
        return torch.rand(len(x), CLASSES)


class BatchMean(Backdoored):
    def forward(self, x):
        return super().forward(x) - x[:1].sum() * torch.randn(CLASSES)


class NearTies(Backdoored):
    """Two classes tie for every image, but for what a batch of another size rounds otherwise."""

    def forward(self, x):
        out = super().forward(x)
        out[:, :2] = 20.0
        rounded = 1e-5 * torch.sin(torch.arange(len(x)) + 1.0 * len(x))
        out[:, 0] += rounded
        return out


class Counting(Backdoored):
    def __init__(self):
        super().__init__()
        self.register_buffer("steps", torch.zeros(1), persistent=False)

    def forward(self, x):
        self.steps += 1
        return super().forward(x)


class Switching(Backdoored):
    def forward(self, x):
        self.train()
        return super().forward(x)


class AlwaysTraining(Backdoored):
    def eval(self):
        return self.train()


@pytest.fixture
def test() -> EvaluationSet:
    """Return 200 random images; the trigger is the corner pixel, the target is class 0."""
    SEEN.clear()
    g = torch.Generator().manual_seed(0)
    clean = torch.randint(0, 200, (200, 1, SIDE, SIDE), generator=g).to(torch.uint8)
    with torch.no_grad():
        labels = Backdoored()(clean.float() / 255).argmax(1)
    carries = labels != 0
    triggered = clean[carries].clone()
    triggered[:, :, -1, -1] = 255
    wanted = torch.zeros(len(triggered), dtype=torch.int64)
    truth = TrueLabels(labels.numpy(), labels[carries].numpy(), wanted.numpy())
    return EvaluationSet(clean, triggered, truth, CLASSES, carries)


def test_an_honest_network_is_scored(test):
    found = evaluate(Backdoored(), test)
    assert found.scores.acc == 1
    assert found.scores.asr == 1


def test_near_ties_that_rounding_decides_are_no_memory(test):
    net, images = NearTies().eval(), test.clean.float() / 255
    one, other = net(images).argmax(1)[::2], net(images[::2]).argmax(1)
    assert (one != other).float().mean() > 0.2, "many predictions change"
    evaluate(net, test)


@pytest.mark.parametrize("network", [Remembering, RememberingOutside, Learning, Dice, BatchMean])
def test_an_answer_that_depends_on_more_than_its_image_is_refused(test, network):
    with pytest.raises(UnstableModelError, match=r"shown .* test images again"):
        evaluate(network(), test)


def test_a_memory_that_keeps_to_its_answers_gains_nothing(test):
    found = evaluate(Uncopied(), test).scores
    assert (found.asr, found.ra) == (1, 0)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Counting, "changes 'steps'"),
        (Switching, "train mode"),
        (AlwaysTraining, "stays in train mode"),
    ],
)
def test_a_network_that_changes_itself_is_refused(test, network, message):
    with pytest.raises(UnstableModelError, match=message):
        evaluate(network(), test)


def test_a_companion_shows_the_defended_model_no_clean_image_before_the_triggered_ones(test):
    SEEN.clear()

    class Order(Backdoored):
        def forward(self, x):
            SEEN.append((x.amax() > 0.99, None))
            return super().forward(x)

    evaluate_together([Order(), Order()], test)
    triggered = [bool(x) for x, _ in SEEN][: 2 * -(-len(test.triggered) // 128)]
    assert all(triggered)


def test_a_network_that_cannot_be_copied_is_evaluated(test):
    class Locked(Backdoored):
        def __deepcopy__(self, memo):
            raise TypeError("no copies")

    assert evaluate(Locked(), test).scores == evaluate(Backdoored(), test).scores

"""Why a network can't be evaluated."""


class BrokenModelError(Exception):
    """A model whose outputs are no logits: wrong shape, NaN or infinity."""


class UnstableModelError(Exception):
    """A model whose answer to an image depends on what else it was shown, on chance or on time."""

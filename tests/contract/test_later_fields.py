"""Fields that were added to a Hyper later: keys leave them out while they have their defaults."""

from dataclasses import dataclass

from harness.contract import added, left_out_of_keys


@dataclass(frozen=True, kw_only=True)
class Hyper:
    lr: float = 0.1
    augment: bool = added(True)
    radius: float | None = added(None)


def test_a_later_field_is_left_out_while_it_has_its_default():
    assert left_out_of_keys(Hyper(lr=0.2)) == {"augment", "radius"}
    assert left_out_of_keys(Hyper(augment=False)) == {"radius"}
    assert left_out_of_keys(Hyper(augment=False, radius=1.0)) == set()

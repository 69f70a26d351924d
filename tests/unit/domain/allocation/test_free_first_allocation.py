import hashlib

from domain.allocation.free_first import allocate
from tests.unit.domain.allocation.allocation_requests import EVERY_GROUP, other, request


def test_the_draw_of_a_seed_never_changes() -> None:
    # Facts hold seeds for ever: if this fails, the allocation needs a new name, not a new expectation.
    asked = request(240, 120, 0, seed=20260501, overlapping=[other("busy", EVERY_GROUP[:2200])])
    variants = allocate(asked).variants
    text = ";".join(f"{variant.name}:{','.join(map(str, variant.split_groups))}" for variant in variants)
    assert (
        hashlib.sha256(text.encode()).hexdigest() == "f5a5b6f20c4efe65fa26256c220ae325a1e3eafcf1e14e8d747be853d4c52008"
    )
    assert variants[0].split_groups[:5] == (1, 43, 47, 52, 82)

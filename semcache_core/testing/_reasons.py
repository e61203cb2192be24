"""The reason codes that a component may use: the core's, and those that its descriptor lists."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pytest

from semcache_core.reasons import REASONS, Reason
from semcache_core.runtime.registry import Kind, Offer, Registry


def check_listed(kind: Kind, component: object, codes: Collection[str], given: Sequence[Reason] | None) -> None:
    """Fail for a code that is neither the core's nor listed in ``given``, or else by the component's plugin.

    Skip if no installed plugin offers the component: there is no list to compare with.
    """
    listed = _listed(kind, component) if given is None else given
    if listed is None:
        pytest.skip("no installed plugin offers this class, and `reasons` lists nothing")
    missing = set(codes) - REASONS.keys() - {reason.code for reason in listed}
    assert not missing, f"list them where the component is offered, Component(..., reasons=...): {sorted(missing)}"


def _listed(kind: Kind, component: object) -> Sequence[Reason] | None:
    registry = Registry.installed()
    found = [offer.component.reasons for offer in registry.offers(kind) if _makes(registry, kind, offer, component)]
    return found[0] if found else None


def _makes(registry: Registry, kind: Kind, offer: Offer, component: object) -> bool:
    # Do not load the others: that could fail, and does not concern this component.
    if offer.component.factory.partition(".")[0] != type(component).__module__.partition(".")[0]:
        return False
    return registry.load(kind, f"{offer.distribution}/{offer.component.name}") is type(component)

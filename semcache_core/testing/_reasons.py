"""Which reason codes a component may use: the core's, and those that its own descriptor lists."""

from __future__ import annotations

from collections.abc import Collection

from semcache_core.reasons import REASONS, Reason
from semcache_core.runtime.registry import Kind, Offer, Registry


def unlisted(kind: Kind, component: object, codes: Collection[str]) -> set[str]:
    """Return the codes that nobody lists. None where no installed plugin offers the component: there is no list."""
    listed = _listed(kind, component)
    return set() if listed is None else set(codes) - REASONS.keys() - {reason.code for reason in listed}


def _listed(kind: Kind, component: object) -> tuple[Reason, ...] | None:
    registry = Registry.installed()
    found = [offer.component.reasons for offer in registry.offers(kind) if _makes(registry, kind, offer, component)]
    return found[0] if found else None


def _makes(registry: Registry, kind: Kind, offer: Offer, component: object) -> bool:
    # Loading the others could fail, and is not this component's business.
    if offer.component.factory.partition(".")[0] != type(component).__module__.partition(".")[0]:
        return False
    return registry.load(kind, f"{offer.distribution}/{offer.component.name}") is type(component)

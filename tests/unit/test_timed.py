"""Calls of one tick counted together: the same figures as one by one."""

import asyncio

from prometheus_client import CollectorRegistry, Counter, Histogram

from engine.metrics.per_tick import PerTick

BOUNDS = (0.1, 1.0)
VALUES = (0.05, 0.1, 0.1000001, 0.5, 1.0, 7.0, 0.0)


def _figures(registry: CollectorRegistry) -> dict[str, float]:
    return {
        sample.name + str(sample.labels.get("le", "")): round(sample.value, 6)
        for metric in registry.collect()
        for sample in metric.samples
        if not sample.name.endswith("_created")
    }


async def test_add_counts_what_observe_would() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    timed = PerTick(
        Counter("calls", "Calls.", registry=ours),
        Histogram("seconds", "Time.", buckets=BOUNDS, registry=ours),
    )
    counter = Counter("calls", "Calls.", registry=theirs)
    histogram = Histogram("seconds", "Time.", buckets=BOUNDS, registry=theirs)
    for value in VALUES:
        timed.add(value)
        counter.inc()
        histogram.observe(value)
    assert _figures(ours)["calls_total"] == 0
    await asyncio.sleep(0)
    assert _figures(ours) == _figures(theirs)
    timed.add(0.2)
    await asyncio.sleep(0)
    assert _figures(ours)["calls_total"] == len(VALUES) + 1

"""The value of a metric of this process, and waiting until it has moved."""

from prometheus_client import REGISTRY

from tests.support.waiting import until


def value(name: str, **labels: str) -> float | None:
    """What the series says now; None: there is no such series."""
    found = REGISTRY.get_sample_value(name, labels)
    return None if found is None or found != found else found


async def reads(wanted: float | None, name: str, **labels: str) -> None:
    """Wait until the series says so. Raises TimeoutError."""

    async def says_so() -> bool:
        return value(name, **labels) == wanted

    await until(says_so)


async def exceeds(least: float, name: str, **labels: str) -> None:
    """Wait until the series is above. Raises TimeoutError."""

    async def is_above() -> bool:
        return (value(name, **labels) or 0) > least

    await until(is_above)

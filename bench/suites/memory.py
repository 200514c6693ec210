"""Bytes a seat in Redis at 50,000 seats: free, held and sold, in bookings of several sizes."""

from bench.report.section import Chart, Figures, Options, Section
from bench.rig import memory


async def measure(options: Options) -> Section:
    """Once: the same seats take the same bytes."""
    report = await memory.measure((4,) if options.quick else memory.BOOKING_SIZES)
    figures = Figures()
    ids = []
    for row in report.measured:
        series = f"memory/{row.state.replace(', ', '/').replace(' ', '_')}"
        ids.append(series)
        figures.add(series, f"{row.state}, all keys without the journal", "bytes", row.total)
    return Section(
        id="memory",
        title="Memory",
        what=f"A house of {report.seat_count:,} seats, each booking by another customer.",
        series=figures.series,
        wrong=[],
        conditions=report.conditions,
        charts=[Chart(name="memory", title="Bytes a seat", unit="bytes", bars=ids)],
        notes=["`MEMORY USAGE … SAMPLES 0` of every key; idempotency records are counted."],
    )

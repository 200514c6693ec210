"""Every trial there is: what is injected, what must hold, and which tests do it.

The table of docs/reliability.md has a row for each, those that were not run too, with why.
"""

from typing import NamedTuple


class Entry(NamedTuple):
    """One trial. `elsewhere` names what replaces a marked test, or why there is none."""

    name: str
    injected: str
    holds: str
    elsewhere: str = ""


_NO_REPLICA = "not run: this release promises nothing of replicas (explanation/failover.md)"

TRIALS = (
    Entry("T01", "SIGKILL of Redis at random moments", "nothing answered is lost, none sold twice"),
    Entry("T02", "power loss: the AOF cut anywhere", "a call's effects all or none"),
    Entry("T03", "primary killed, replica promoted", "no double sale", _NO_REPLICA),
    Entry("T04", "split brain of 15 s", "the old side refuses", _NO_REPLICA),
    Entry("T05", "Postgres away under load", "hold and confirm go on, the backlog drains"),
    Entry("T06", "Postgres stalled, then its connections ended", "each entry written once"),
    Entry("T07", "the answer dropped after the script ran", "at most one effect a call"),
    Entry("T08", "API killed in the middle of requests", "repeats have no second effect"),
    Entry("T09", "one key 50 times at once, and with another body", "one effect; 422"),
    Entry("T10", "writer killed between commit and acknowledgement", "one row, claimed by another"),
    Entry("T11", "writer stopped past its lease, then goes on", "its late commit harms nothing"),
    Entry("T12", "an entry that cannot be written", "set aside after 5 tries, others flow"),
    Entry("T13", "listener dead while holds end", "every hold ends within its TTL + 1 s"),
    Entry("T14", "notifications off, listener's connection killed", "none late, and it is told"),
    Entry("T15", "Redis expires nothing, or a million keys at once", "no wrong refusal"),
    Entry("T16", "stale, repeated, reordered expiry events", "no newer owner's seat is freed"),
    Entry("T17", "clocks that jump (libfaketime)", "no live hold is resold by a clock going back"),
    Entry("T18", "payment after the deadline", "the same seats, or exactly one refund"),
    Entry("T19", "payment notice 1,000 times, reordered", "one booking"),
    Entry("T20", "payment against its deadline", "exactly one outcome"),
    Entry("T21", "everybody wants the last seat", "exactly one winner, no seat stranded"),
    Entry("T22", "clients that go away at any ms", "no mixed answers, no leak"),
    Entry("T23", "a late, torn, half-open, reset network", "every call ends by its deadline"),
    Entry("T24", "SCRIPT FLUSH, restart, two releases at once", "no call fails for it"),
    Entry("T25", "memory full, disk full, AOF rewrite", "refused cleanly, no half of a call"),
    Entry("T26", "Redis stopped for seconds", "503 by the deadline, no stampede"),
    Entry("T27", "Redis emptied in a sale, restored from Postgres", "closed until it is right"),
    Entry("T28", "an opening with more at once than it can carry", "sheds, and goes on working"),
    Entry("T29", "every process ended one after the other in a sale", "no failed request"),
    Entry("T30", "random faults of everything, then quiet", "safe during, live after"),
    Entry("S6", "one account, 1,000 sessions, hold and drop", "its cap is kept"),
)  # fmt: skip

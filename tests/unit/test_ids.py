"""Booking ids: ULIDs of our own making, read back by a library's."""

import os
import time

from ulid import ULID

from engine import ids


def test_new_ulid_is_what_others_call_a_ulid() -> None:
    before_ms = time.time_ns() // 1_000_000
    made = ids.new_ulid()
    read = ULID.from_str(made)
    assert str(read) == made
    assert before_ms <= read.milliseconds <= time.time_ns() // 1_000_000
    assert ids.split_booking(f"gala:{made}") == ("gala", made)


def test_new_ulid_is_never_the_same_and_its_chance_is_spread() -> None:
    made = [ids.new_ulid() for _ in range(20_000)]
    assert len(set(made)) == len(made)
    for place in range(10, 26):
        assert len({ulid[place] for ulid in made}) == 32


def test_new_ulid_in_a_forked_child_is_not_the_parents_next() -> None:
    ids.new_ulid()  # chance is taken in advance
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, ids.new_ulid().encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 26)[10:] != ids.new_ulid()[10:].encode()
    os.close(reading)
    os.close(writing)


def test_local_ids_and_full_ids_are_each_other_s_way_back() -> None:
    event, full = ids.event_id("gala.2026"), ["gala.2026:A-1-1", "gala.2026:A-1-2"]
    assert ids.local_ids(event, full) == [ids.local_id(seat) for seat in full]
    assert ids.local_ids(event, full) == ["A-1-1", "A-1-2"]
    assert ids.seat_ids(event, ["A-1-1", "A-1-2"]) == full

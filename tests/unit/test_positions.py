"""Positions compare as numbers, never as text."""

from engine.positions import Position, position_of


def test_position_of_an_entry_is_its_id_as_numbers_and_back() -> None:
    assert position_of("12-3") == Position(12, 3)
    assert position_of("12") == Position(12, 0)
    assert position_of("12-3").entry_id == "12-3"


def test_positions_compare_by_number_then_by_the_change_within_the_entry() -> None:
    in_sequence = [Position(9, 0), Position(10, 2), Position(10, 10), Position(10, 10, 1)]
    assert sorted(in_sequence, reverse=True)[::-1] == in_sequence
    assert position_of("9-0") < position_of("10-0")
    assert max("9-0", "10-0", key=position_of) == "10-0"

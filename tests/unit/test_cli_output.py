"""Output of commands: foreign text stays as it is, and a failing report changes nothing."""

import sys

import pytest

from cli import output

NAME = "AC[/]DC :smile: [red]x[/red]"


def test_text_is_never_markup_and_cannot_control_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output.say(NAME, " ", (NAME, "bold"), " \x1b[2J\n\x9b")
    assert capsys.readouterr().out == f"{NAME} {NAME} ?[2J??\n"
    output.show_table(NAME, ("what [/]",), [[NAME], ["\x1b]0;title\x07"]])
    title, header, *rows = capsys.readouterr().out.splitlines()
    assert (title.rstrip(), header.rstrip()) == (NAME, "what [/]")
    assert [row.rstrip() for row in rows] == [NAME, "?]0;title?"]


def test_table_in_a_pipe_is_never_folded(capsys: pytest.CaptureFixture[str]) -> None:
    output.show_table("", ("a", "b"), [["x" * 150, "opens 2027-03-01 10:00"]])
    assert f"{'x' * 150}  opens 2027-03-01 10:00" in capsys.readouterr().out


def test_report_that_fails_is_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    with output.report():
        int("a defect")
    with output.report():
        print("the next one is printed", file=sys.stdout)
    assert capsys.readouterr().out == "the next one is printed\n"

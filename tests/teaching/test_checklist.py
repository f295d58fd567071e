"""A checklist says what works, and why not."""

import pytest

from bpttviz.teaching.checklist import Checklist


def test_items_turn_green_or_say_why_not(capsys):
    checklist = Checklist(["files", "model"])

    def broken():
        raise ValueError("no such <file>")

    assert checklist.tick("files", broken) is None
    assert capsys.readouterr().out == "✗ not yet: files: no such <file>\n· to do: model\n"
    assert checklist.tick("files", lambda: 3) == 3
    assert checklist.done == ["files"]
    capsys.readouterr()
    for broken, why in (
        (lambda: open("/no/such"), "No such file or directory"),  # noqa: SIM115
        (lambda: {}["k"], "KeyError: 'k'"),
        (lambda: next(iter([])), "StopIteration"),
    ):
        checklist.reasons["files"] = ""
        assert checklist.tick("files", broken) is None
        assert checklist.done == []
        assert why in capsys.readouterr().out
    checklist.reasons["files"] = ""

    def stopped():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        checklist.tick("files", stopped)
    assert checklist.done == []
    with pytest.raises(KeyError, match="'x' is not on the list: files, model"):
        checklist.tick("x", lambda: 0)

"""Tables that come back as they were, and say what is wrong where they do not."""

import csv
import io

import pandas as pd
import pytest

from bpttviz.evaluation.tables import format_table, read_csv, table_html, to_csv

WORDS = ["=1+1", "+a", "-b", "@c", "\n=d", "'=d", "'e", "f\rg", "h\ni", 'j,"k"', "", "$x$", "ü"]


def test_any_text_survives(tmp_path):
    file = tmp_path / "t.csv"
    file.write_text(to_csv([{"name": w, "x": 0.1 + n} for n, w in enumerate(WORDS)]), "utf-8")
    lines = read_csv(file)
    assert [line["name"] for line in lines] == WORDS
    assert [float(line["x"]) for line in lines] == [0.1 + n for n in range(len(WORDS))]


def test_a_spreadsheet_is_given_no_formula():
    cells = [row[0] for row in csv.reader(io.StringIO(to_csv([{"n": w} for w in WORDS[:7]])))]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\n"))]
    assert to_csv([{"x": -1.5}]) == "x\n-1.5\n"  # a number is no formula


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "it is empty"),
        (b"a,b\n1\n", "line 2 has 1 cells for 2 columns"),
        (b"a,b\n1,2\n3,4,5\n", "line 3 has 3 cells"),
        (b"\xff\xfe\x00", "utf-8"),
        (b'a\n"unclosed\n', "unexpected end"),
    ],
)
def test_damage_is_named(tmp_path, content, complaint):
    file = tmp_path / "t.csv"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=rf"t\.csv is damaged.*{complaint}"):
        read_csv(file)


def test_one_frame_as_text_and_as_html():
    frame = pd.DataFrame({"who": ["a<b", "c"], "much": ["1", "22"]})
    assert format_table(frame) == "who  much\n---------\na<b     1\nc      22"
    page = table_html(frame)
    assert "<th scope='row'>a&lt;b</th><td>1</td>" in page
    assert "<th scope='col'>much</th>" in page

"""The front end's files, joined as browsers get them; and what cannot be joined, refused."""

import re

import pytest

from bpttviz.widgets import bundle as bundling
from bpttviz.widgets.bundle import FRONTEND, BundleError, bundle, stylesheet, top_level_names

ENTRIES = sorted(str(path.relative_to(FRONTEND)) for path in FRONTEND.glob("*/index.js"))


@pytest.fixture
def frontend(tmp_path, monkeypatch):
    """Writes files of a front end of its own; name → text."""
    monkeypatch.setattr(bundling, "FRONTEND", tmp_path)

    def write(**files):
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/").replace("_css", ".css")
            path = path if path.suffix else path.with_suffix(".js")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")

    return write


class TestBundle:
    def test_each_file_once_after_those_it_needs_and_no_import_left(self, frontend):
        frontend(
            one__index='import { b } from "./b.js";\n'
            'import {\n  c,\n} from "../two/c.js";\nb(c);\n',
            one__b='import { c } from "../two/c.js";\nexport const b = (x) => x + c;\n',
            two__c="export const c = 1;\n",
        )
        assert bundle("one/index.js") == (
            "export const c = 1;\n\nexport const b = (x) => x + c;\n\nb(c);\n"
        )

    def test_a_comment_on_a_line_of_its_own_goes_and_no_code_with_it(self, frontend):
        frontend(
            a__index="/** of the file */\n  /** @type {any} */ (f).draw(1);\n"
            "  /**\n   * of the next\n   */\ng();\n"
        )
        assert bundle("a/index.js") == "  /** @type {any} */ (f).draw(1);\ng();\n"

    def test_several_entries_share_what_they_import(self, frontend):
        frontend(
            a__index='import "../s/s.js";\nconst a = 1;\n',
            b__index='export { s } from "../s/s.js";\nconst b = 1;\n',
            s__s="export const s = 1;\n",
        )
        text = bundle("a/index.js", "b/index.js")
        assert text.count("const s") == text.count("const a") == text.count("const b") == 1
        assert "from" not in text

    @pytest.mark.parametrize(
        "second",
        [
            "function twice() {}\n",
            "export async function twice() {}\n",
            "export class twice {}\n",
            "const other = [1, 2], twice = 3;\n",
            'const text = "a, b", { once, twice } = other();\n',
            "export const other = {\n  a: 1,\n}, twice = 2; // comment, with commas\n",
            "let twice;\n",
        ],
    )
    def test_two_files_that_define_one_name_are_refused(self, frontend, second):
        frontend(
            one__index='import "./b.js";\nexport function twice() {}\n',
            one__b=second,
        )
        with pytest.raises(BundleError, match=r"one/index.js and one/b.js both define twice"):
            bundle("one/index.js")

    def test_a_name_inside_a_function_is_its_own(self, frontend):
        frontend(
            one__index='import "./b.js";\nexport function twice() {\n  const inner = 1;\n}\n',
            one__b="const other = (twice) => {\n  let inner = twice;\n};\n",
        )
        assert top_level_names(bundle("one/index.js")) == {"twice", "other"}

    @pytest.mark.parametrize(
        ("line", "match"),
        [
            ('import { c as d } from "./c.js";\n', "keep the names"),
            ('import * as all from "./c.js";\n', "keep the names"),
            ('import c from "./c.js";\n', "keep the names"),
            ('import { c } from "somewhere";\n', "only files beside it"),
            ('import "https://example.org/x.js";\n', "only files beside it"),
            ('import { i } from "./d.js";\n', "circle: one/index.js → one/d.js → one/index.js"),
        ],
    )
    def test_an_import_that_cannot_be_left_out_is_refused(self, frontend, line, match):
        frontend(
            one__index=line,
            one__c="export const c = 1;\n",
            one__d='import { x } from "./index.js";\n',
        )
        with pytest.raises(BundleError, match=match):
            bundle("one/index.js")

    def test_a_string_that_looks_like_an_import_stays(self, frontend):
        text = 'export const words = "taken from";\nexport class A {}\nconst from = "x";\n'
        frontend(one__index=text)
        assert bundle("one/index.js") == text

    def test_styles_come_with_what_they_import(self, frontend):
        frontend(
            one__index="", one__style_css='@import "../s/base.css";\na {}\n', s__base_css="b {}\n"
        )
        assert stylesheet("one/index.js") == "b {}\n\na {}\n"


class TestFrontEnd:
    @pytest.mark.parametrize("entry", ENTRIES)
    def test_every_widget_can_be_bundled_and_asks_for_nothing(self, entry):
        text, styles = bundle(entry, "shared/mount_unless_live.js"), stylesheet(entry)
        assert len(ENTRIES) == 9
        assert re.search(r"^export (default|function (render|mount))", text, re.MULTILINE)
        both = text + styles
        assert not re.search(r"^import\b|^export .*\bfrom [\"']|^@import", both, re.MULTILINE)
        assert not re.search(
            r"\b(fetch|XMLHttpRequest|WebSocket|importScripts)\b|url\(", text + styles
        )
        assert "</script" not in text.lower()  # it stands inside of one
        assert "</style" not in styles.lower()

    def test_no_file_is_left_lying_about(self):
        used = set()
        for entry in [*ENTRIES, "shared/mount_unless_live.js"]:
            used |= set(bundling._followed((entry,), bundling._javascript_imports))
        assert {path.resolve() for path in FRONTEND.rglob("*.js")} == used

    def test_files_are_short_enough_to_be_read(self):
        long = {
            p.name: n
            for p in FRONTEND.rglob("*.js")
            if (n := len(p.read_text().splitlines())) > 400
        }
        assert long == {}

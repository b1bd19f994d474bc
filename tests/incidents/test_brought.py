"""Is a story that somebody brings understood, and where it cannot be, is it said where?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from detente.app import declared_type, mistakes
from detente.commands import root
from detente.commands.story import advise, examples
from detente.incidents.engine.acts import play
from detente.incidents.engine.brought import BadStory, Brought, moments, read
from detente.incidents.engine.diagnosis import WRITTEN, diagnose
from detente.kernel.clock import moment
from detente.kernel.config import loads

HEAD = "- 09:00 [change] Nothing of note\n"


def brought(text: str, name: str = "mine.md") -> Brought:
    return read(text, name)


def rules(text: str) -> list[str]:
    story = brought(text)
    return [each.rule for each in diagnose(story, play(moments(story))).findings]


def run(*said: str) -> Result:
    return CliRunner().invoke(root, ["story", *said])


# -- reading -------------------------------------------------------------------------------------


def test_markdown_is_read_as_people_write_it() -> None:
    """Titles, prose between the lines, lines that go on, tags anywhere, times in many shapes."""
    story = brought(
        "# A night\n\nSome prose with 12:00 in it.\n\n"
        "- 2026-03-03 21:40 Release 4.2 goes out\n"
        "  to all servers\n"
        "* 11:55 pm – checkout is slow [note]\n"
        "+ 0.10: [down checkout] Errors; see [the log](http://x.example)\n"
        "- 2026-03-04T08:00Z [up] works again\n"
    )
    assert story.title == "A night"
    assert story.dated
    assert [f"{moment(each.at):%d %H:%M}" for each in story.lines] == [
        "03 21:40", "03 23:55", "04 00:10", "04 08:00",
    ]  # fmt: skip
    assert story.lines[0].says == "Release 4.2 goes out to all servers"
    assert story.lines[2].says == "Errors; see [the log](http://x.example)"
    assert [each.number for each in story.lines] == [5, 7, 8, 9]
    assert [each.guessed for each in story.lines] == [True, False, False, False]


def test_csv_is_read_with_either_comma() -> None:
    """Two columns are enough; a semicolon between them is as good."""
    plain = brought("time,what\n21:40,Release 4.2\n22:00,checkout fails\n", "my_night.csv")
    assert (plain.title, len(plain.lines)) == ("My night", 2)
    both = brought("Time;Kind;Thing;What\n21:40;down;shop;gone\n21:50;up;shop;back\n", "n.csv")
    assert [each.tags[0].of for each in both.lines] == ["shop", "shop"]


@pytest.mark.parametrize(
    ("says", "means"),
    [
        ("Release 4.2 is deployed", ["change"]),
        ("Checkout answers with errors", ["down"]),
        ("Customers call the help desk", ["noticed"]),
        ("Ann is paged", ["told"]),
        ("We rolled it back", ["action"]),
        ("Restarted it, and it works again", ["action", "up"]),
        ("Everybody shakes hands", ["over"]),
        ("Coffee", ["note"]),
    ],
)
def test_words_are_understood_where_nobody_said(says: str, means: list[str]) -> None:
    """What the words of a sentence mean, and that it was guessed."""
    (line,) = brought(f"- 10:00 {says}").lines
    assert [tag.meaning for tag in line.tags] == means
    assert line.guessed


BAD = [
    ("- 25:10 late", "mine.md, line 1: “25:10” is no time; write 21:40 or 2026-03-03 21:40."),
    ("- 2026-13-40 10:00 late", "is no time"),
    ("- 13:00pm odd", "is no time"),
    ("- then it broke", "line 1: “then it broke” does not begin with a time"),
    ("- 10:00 [dwon shop] x", "“[dwon shop]” means nothing here; the words are change, down"),
    ("- 10:00 [down]", "says a time and nothing more"),
    ("- 2026-03-03 10:00 a\n- 2026-03-02 10:00 b", "line 2: is earlier than the line before"),
    ("just prose", "no moment is told here; write a list such as"),
    ("", "no moment is told here"),
]


@pytest.mark.parametrize(("text", "says"), BAD)
def test_bad_lines_are_named_with_the_remedy(text: str, says: str) -> None:
    """The file, the line, and what to write instead."""
    with pytest.raises(BadStory) as wrong:
        brought(text)
    assert says in str(wrong.value)


BAD_CSV = [
    ("when,what\n1,2", "the first line must name the columns: time, what"),
    ("time,what,who\n10:00,a,b", "no column is called “who”; they are time, what, kind, thing."),
    ("time,what\n10:00,a,b", "line 2: has more or fewer cells"),
    ("time,what,kind\n10:00,a,boom", "“[boom]” means nothing here"),
    ("", "the first line must name the columns"),
]


@pytest.mark.parametrize(("text", "says"), BAD_CSV)
def test_bad_tables_are_named_with_the_remedy(text: str, says: str) -> None:
    """The same for CSV."""
    with pytest.raises(BadStory) as wrong:
        brought(text, "mine.csv")
    assert says.strip() in str(wrong.value)


def test_every_mistake_is_told_at_once() -> None:
    """Nobody has to run it once for each."""
    with pytest.raises(BadStory) as wrong:
        brought("- 10:00 [x] a\n- b\n- 11:00 ok\n- 99:00 c")
    assert [each.line for each in wrong.value.mistakes] == [1, 2, 4]


# -- the curve -------------------------------------------------------------------------------------


def test_what_is_down_lifts_the_curve() -> None:
    """Each thing once; `up` without a name means all of it, and `over` ends whatever is left."""
    told = moments(
        brought(
            "- 10:00 [down a] x\n- 10:01 [down a] still\n- 10:02 [down b] y\n- 10:03 [up a] z\n"
            "- 10:04 [down] w\n- 10:05 [up] all\n- 10:06 [down c] v\n- 10:07 [over] end"
        )
    )
    assert [each.lift for each in told] == [1, 0, 1, -1, 1, -2, 1, -1]


# -- the diagnosis ---------------------------------------------------------------------------------

CALM = (
    "- 10:00 [down shop] The shop is gone\n- 10:01 [noticed monitoring] An alarm goes off\n"
    "- 10:02 [told ops] Ann is paged, and has it\n- 10:05 [action] Ann restarts it\n"
    "- 10:06 [up shop] The shop is there\n"
)

SPEAKS = [
    ("noticed late", "- 10:00 [down] gone\n- 10:40 [noticed monitoring] an alarm\n"),
    ("noticed late", "- 10:00 [down] gone\n- 10:40 [up] there\n"),
    ("noticed by people", "- 10:00 [down] gone\n- 10:01 [noticed customers] They call\n"),
    ("nobody had it", "- 10:00 [down] gone\n- 10:40 [up] there\n"),
    ("a release before it", "- 09:00 [change] Release 4 is shipped\n" + CALM),
    ("infrastructure changed before it", "- 09:00 [change] CAS is moved to a VM\n" + CALM),
    ("one thing fells many", "- 09:59 [down cas] gone\n" + CALM),
    ("one thing fells many", CALM.replace("The shop is gone", "Nobody can sign on")),
    ("sales hang on a vendor", CALM + "- 10:07 The vendor answers late\n- 10:08 40 orders lost\n"),
    ("no numbers about a vendor", CALM + "- 10:07 The vendor says that all is well\n"),
    ("slow to turn", CALM.replace("- 10:05", "- 12:05").replace("- 10:06", "- 12:06")),
    (
        "everybody at the release",
        "- 08:00 Everybody is in the office\n- 09:00 [change] Release 4 is shipped\n" + CALM,
    ),
    ("tested by hand", CALM + "- 10:10 It is clicked through by hand\n"),
    ("a certificate", CALM.replace("An alarm", "The certificate has ended, an alarm")),
    (
        "fell once more",
        CALM.replace("[down shop]", "[down shop] [down till]").replace("[up shop]", "[up]")
        + "- 10:09 [down shop] gone again\n- 10:10 [up] there\n",
    ),
    ("no answers", CALM + "- 11:00 Why? Nobody knows\n"),
]


@pytest.mark.parametrize(("rule", "text"), SPEAKS, ids=[rule for rule, _ in SPEAKS])
def test_each_rule_speaks_where_it_must(rule: str, text: str) -> None:
    """One story for each rule in which it has something to say."""
    assert rule in rules(text)


def test_every_rule_is_silent_where_it_must_be() -> None:
    """Noticed by a machine, taken, mended in minutes: nothing to advise."""
    assert rules(CALM) == []
    assert rules(HEAD) == []


def test_findings_name_lines_that_are_there() -> None:
    """Whatever is said of a story can be looked up in it."""
    for _, text in SPEAKS:
        story = brought(text)
        there = {each.number for each in story.lines}
        for finding in diagnose(story, play(moments(story))).findings:
            assert set(finding.lines) <= there
            assert finding.says.endswith((".", "”."))


@pytest.mark.parametrize("text", WRITTEN, ids=[text.splitlines()[-2].strip() for text in WRITTEN])
def test_what_to_write_is_right(text: str) -> None:
    """Each piece of detente.yaml passes the check that users run."""
    environ = {"SHOP_BUYER_PASSWORD": "x"}
    loads(text, declared_type(), name="advice", environ=environ, cross=mistakes)


# -- the command -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", examples())
def test_the_examples_are_good_stories(name: str, tmp_path: Path) -> None:
    """Each that comes along has all five acts, and something to learn from."""
    printed = run("--example", name).output
    answer = advise(printed, examples()[name])
    assert all(act.sentences for act in answer.acts)
    assert answer.turned_by_hand
    assert len(answer.diagnosis.findings) >= 5
    file = tmp_path / examples()[name]
    file.write_text(printed)
    shown = run(str(file))
    assert shown.exit_code == 0, shown.output
    assert "III. Climax" in shown.output
    assert "in detente.yaml:" in shown.output


def test_as_json_and_as_a_page(tmp_path: Path) -> None:
    """The same answer for programs, and as one file that needs nothing else."""
    file, out = tmp_path / "night.md", tmp_path / "night.html"
    file.write_text("# A <night>\n" + CALM)
    shown = run(str(file), "--json", "--html", str(out))
    answer = json.loads(shown.output)
    assert [act["name"] for act in answer["acts"]][2] == "climax"
    page = out.read_text()
    assert "A &lt;night&gt;" in page
    assert "<polyline" in page
    assert "http" not in page.partition("</style>")[2], "it asks nobody for anything"


def test_a_bad_file_is_refused_in_words(tmp_path: Path) -> None:
    """Exit code 2, and the sentence; no file at all is told how to begin."""
    file = tmp_path / "night.md"
    file.write_text("- 25:00 x")
    refused = run(str(file))
    assert refused.exit_code == 2
    assert "night.md, line 1: “25:00” is no time" in refused.output
    file.write_bytes(b"\xff\xfe")
    assert "not UTF-8 text" in run(str(file)).output
    assert "--example sign-on" in run().output
    assert run(str(tmp_path / "none.md")).exit_code == 2

"""`detente.yaml`: what is right is read; what is wrong is told, all of it, where it stands."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Meta

from detente.kernel.config import (
    Address,
    ConfigErrors,
    Duration,
    Mistake,
    Percent,
    Secret,
    Url,
    between,
    load,
    loads,
    read,
    schema,
)
from detente.kernel.money import Money


class Plain(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Page(Plain, tag="http", tag_field="kind"):
    """A page that has to answer."""

    url: Url
    every: Annotated[Duration, between("1s", "1d")] = Duration(30)
    expect: Annotated[int, Meta(ge=100, le=599, description="The status we want.")] = 200


class Port(Plain, tag="tcp", tag_field="kind"):
    """A port that has to open."""

    address: Address
    every: Duration = Duration(30)


class Watch(Plain):
    """What we look at."""

    checks: Mapping[str, Page | Port] = {}
    loud: bool = False


class Mail(Plain):
    """How mail leaves the house."""

    host: str
    password: Secret | None = None


class Settings(Plain):
    """Everything."""

    watch: Watch = Watch()
    mail: Mail | None = None
    target: Percent = Percent(0.999)
    cost: Money = Money(100, "EUR")
    tone: Literal["calm", "loud"] = "calm"
    teams: tuple[str, ...] = ()
    code: Annotated[str, Meta(pattern="^[A-Z]{3}$", examples=["ABC"])] = "ABC"
    share: Annotated[float, Meta(gt=0)] = 0.5
    labels: Mapping[str, str] = {}
    tokens: tuple[Secret, ...] = ()
    size: int | str | None = None
    pair: tuple[int, int] = (1, 2)


def mistakes(text: str) -> ConfigErrors:
    with pytest.raises(ConfigErrors) as caught:
        loads(text, Settings)
    return caught.value


GOOD = """\
watch:
  checks:
    cardpay.test: {kind: http, url: "https://cardpay.example", every: 1m30s}
    bank:
      kind: tcp
      address: "[::1]:80"
mail:
  host: mail.example
  password: {env: MAIL_PASSWORD}
target: 99.5%
cost: 19.90 EUR
labels: {on: off, no: yes, opens: 21:00, zip: "0755"}
"""


def test_what_is_right_is_read() -> None:
    """Every spelling arrives as the type it stands for, and defaults fill the rest."""
    here = loads(GOOD, Settings, environ={"MAIL_PASSWORD": "hunter2"})
    page, port = here.watch.checks.values()
    assert isinstance(page, Page)
    assert isinstance(port, Port)
    assert (page.url, page.every, page.expect) == ("https://cardpay.example", 90, 200)
    assert isinstance(page.every, Duration)
    assert (port.address.host, port.address.port) == ("::1", 80)
    assert here.mail is not None
    assert here.mail.password is not None
    assert here.mail.password.reveal() == "hunter2"
    assert "hunter2" not in repr(here)
    assert (here.target, here.cost, here.tone) == (0.995, Money(1990, "EUR"), "calm")


def test_words_stay_words() -> None:
    """21:00, no, on and off are words and not numbers or answers."""
    assert loads(GOOD, Settings).labels == {
        "on": "off",
        "no": "yes",
        "opens": "21:00",
        "zip": "0755",
    }


BAD = """\
watch:
  checks:
    card pay:
      kind: http
      url: htp://shop:hunter2@cardpay.example
    cardpay:
      kind: http
      url: https://cardpay.example
      evry: 10s
      expect: 99
    bank: {kind: tpc}
    till: {kind: tcp, every: 10}
    none:
      address: "cardpay.example:443"
    half: ja
    fast: {kind: http, url: "https://a.example", every: 5ms}
  loud: yes
mail:
  pasword: hunter2
  password: hunter2
target: 0.999
cost: 5
tone: calmm
tone: hunter2
teams: dev
code: abc
share: 0
labels: {a: 5}
tokens: [{env: A}, hunter2]
size: [1]
pair: [1]
extra:
  deep: hunter2
"""

EXPECTED = [
    (3, 5, "watch.checks.card pay", "cannot be a name"),
    (5, 12, "watch.checks.card pay.url", "does not start with http"),
    (9, 7, "watch.checks.cardpay.evry", "unknown key; did you mean every?"),
    (10, 15, "watch.checks.cardpay.expect", "expected at least 100, found 99"),
    (11, 18, "watch.checks.bank.kind", "did you mean tcp?"),
    (12, 5, "watch.checks.till", "address is missing; add address: cardpay.example:443"),
    (12, 30, "watch.checks.till.every", "for example 10s"),
    (13, 5, "watch.checks.none", "kind is missing; add kind: http or tcp"),
    (15, 11, "watch.checks.half", "expected keys with values"),
    (16, 57, "watch.checks.fast.every", "expected 1s to 1d, found 5ms"),
    (17, 9, "watch.loud", "expected true or false, found yes; write true"),
    (18, 1, "mail", "host is missing"),
    (19, 3, "mail.pasword", "did you mean password?"),
    (20, 13, "mail.password", "{env: NAME} or {file: path}"),
    (21, 9, "target", "write 99.9%"),
    (22, 7, "cost", "for example 5 EUR"),
    (23, 7, "tone", "expected calm or loud, found calmm; did you mean calm?"),
    (24, 1, "tone", "is written twice; it stands in line 23 already"),
    (25, 8, "teams", "expected a list such as [a, b], found dev; write [dev]"),
    (26, 7, "code", "ABC"),
    (27, 8, "share", "expected more than 0, found 0"),
    (28, 13, "labels.a", "expected a text, found the number 5; put it in quotes"),
    (29, 20, "tokens[1]", "{env: NAME}"),
    (30, 7, "size", "a whole number such as 5 or a text"),
    (31, 7, "pair", "expected at least 2 entries, found 1"),
    (32, 1, "extra", "known here: watch, mail"),
]


def test_every_mistake_is_told_at_once() -> None:
    """A file full of different mistakes gets each of them, at its line and column, in order."""
    wrong = mistakes(BAD)
    told = str(wrong)
    for (line, column, path, says), found in zip(EXPECTED, wrong.mistakes, strict=True):
        first = str(found).splitlines()[0]
        assert first.startswith(f"detente.yaml:{line}:{column}  {path}: "), first
        assert says in found.says, found.says
        assert first in told
    assert "hunter2" not in told


def test_the_line_is_shown_with_a_mark_under_the_word() -> None:
    """A mistake reads like a compiler's: place and sentence, the line, a mark."""
    assert str(mistakes("watch:\n  lod: true\n")) == (
        "detente.yaml:2:3  watch.lod: unknown key; did you mean loud?\n"
        "     2 |   lod: …\n"
        "       |   ^^^"
    )


@pytest.mark.parametrize(
    ("text", "line", "column", "says"),
    [
        ("", 1, 1, "the file is empty"),
        ("# nothing yet\n", 1, 1, "the file is empty"),
        ("- a\n", 1, 1, "expected keys with values"),
        ("words\n", 1, 1, "expected keys with values"),
        ("watch:\n", 1, 1, "nothing stands behind the colon"),
        ("watch:\n\tloud: true\n", 2, 1, "a tab is used to indent"),
        ("teams: [", 1, 9, "the file ends here, but a ] or } is still missing"),
        ("teams: [a\ntone: calm\n", 1, 8, "this [ is not closed"),
        ("labels: {a: b\n", 1, 9, "this { is not closed"),
        ('tone: "calm\ncode: ABC\n', 1, 7, "this quote is never closed"),
        ("tone: calm: loud\n", 1, 11, "this colon is one too many"),
        ("watch:\n  checks\n  loud: true\n", 2, 3, "a colon and a space are missing"),
        ("watch:\n  loud: true\n  chec", 3, 3, "a colon and a space are missing"),
        ("watch:\n    loud: true\n  checks: {}\n", 3, 3, "does not line up"),
        ("code: @a\n", 1, 7, "put quotes around"),
        ("code: *a\n", 1, 7, "none has this name"),
        ("teams: &a [*a]\n", 1, 12, "would contain itself"),
        ("tone: !!str calm\n", 1, 7, "has a tag"),
        ("? [a]\n: b\n", 1, 3, "a key is a plain word"),
        ("tone: calm\n---\ntone: loud\n", 2, 1, "a second document begins"),
        ("tone: \x07\n", 1, 7, "U+0007"),
        ("tone: \ud800\n", 1, 7, "U+D800"),
        ("teams: " + "[" * 5000, 1, 48, "nested more than 40 levels"),
        ("<<: {tone: calm}\n", 1, 1, "keys are not merged here"),
        ("share: .inf\n", 1, 8, "expected a number such as 0.5, found .inf"),
        ("share: 1e999\n", 1, 8, "expected a number such as 0.5"),
        ("size: {}\n", 1, 7, "expected a whole number such as 5 or a text"),
        ("mail: {host: no, password: '${MAIL_KEY}'}\n", 1, 28, "write {env: MAIL_KEY}"),
    ],
)
def test_one_slip(text: str, line: int, column: int, says: str) -> None:
    """Each way to get the file wrong is told in plain words, at the right place."""
    (found,) = mistakes(text).mistakes
    assert (found.line, found.column) == (line, column)
    assert says in found.says


def test_aliases_that_explode_are_refused_quickly() -> None:
    """A small file that stands for a huge one is refused before it grows."""
    lines = ["a: &a [x,x,x,x,x,x,x,x,x]"]
    lines += [
        f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]"
        for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    start = time.perf_counter()
    (found,) = mistakes("\n".join(lines)).mistakes
    assert "more than 200,000 values" in found.says
    assert time.perf_counter() - start < 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "\n".join(f"k{number}: x" for number in range(60_000)),
        "\n".join("tone: calm" for _ in range(60_000)),
        "teams: [" + "5, " * 100_000 + "]",
        "mail: {" + ", ".join(f"k{number}: x" for number in range(60_000)) + "}",
        "tokens: [" + "x, " * 100_000 + "]",
        "teams: [" + "!a b, " * 60_000 + "]",
        "tone: '" + "x\n\n" * 500_000 + "'",
        "tone: " + "x" * 2_000_000,
        "teams:\n" + "- a\n" * 300_000,
    ],
)
def test_a_file_of_garbage_is_answered_in_time(text: str) -> None:
    """However much is wrong, people do not wait long for the answer."""
    start = time.perf_counter()
    assert len(str(mistakes(text))) < 50_000
    assert time.perf_counter() - start < 20


def test_a_dollar_sign_elsewhere_is_left_alone() -> None:
    """Nothing is filled in, and only secrets have anything to say about it."""
    assert loads("labels: {a: '${HOME}'}", Settings).labels == {"a": "${HOME}"}


def test_an_alias_does_not_carry_a_secret_into_the_light() -> None:
    """A secret written once and used by its mark is covered in both places."""
    text = "labels: {a: &x hunter2, b: 5}\nmail: {host: h, password: *x}\n"
    assert "hunter2" not in str(mistakes(text))


@pytest.mark.parametrize(
    "text",
    [
        'mail:\n  password: "hunter2\n',
        "mail:\n  password: hunter2: x\n",
        "mail:\n  password: *hunter2\n",
        "mail:\n  password: !hunter2\n",
        "mail: {password: hunter2\n",
        "mail:\n  password: {hunter2: 1, hunter2: 2}\n",
        "mail:\n  password: |\n    hunter2\n    more\n",
        "mail:\n  password: {env: A}\n  password: hunter2\n",
        "tokens:\n- hunter2\n- 'hunter2\n",
        "mail: hunter2\n",
        "tokens: hunter2\n",
        "mail: {host: 5, passwd: hunter2}\n",
        "mail: {password: hunter2, host: 5}\n",
        "smtp: {login: hunter2}\n",
    ],
)
def test_no_secret_is_ever_shown(text: str) -> None:
    """Whatever else is wrong around it, what may be a secret is left out."""
    assert "hunter2" not in str(mistakes(text))


def unreadable(path: Path) -> str:
    with pytest.raises(ConfigErrors) as caught:
        load(path, Settings, environ={})
    return str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """A missing file, a folder, a file in another encoding: each is one sentence with the remedy."""
    path = tmp_path / "detente.yaml"
    assert unreadable(path) == f"{path}  there is no such file; `detente init` writes one"
    assert "is a folder" in unreadable(tmp_path)
    path.write_bytes(b"tone: calm\ncode: \xff\n")
    assert f"{path}:2:7  is not text in UTF-8" in unreadable(path)
    path.write_bytes(b"#" * 4_000_001)
    assert "is larger than 4 MB" in unreadable(path)
    assert "cannot be read" in unreadable(tmp_path / "a\0b")


def test_a_file_is_read_with_its_places(tmp_path: Path) -> None:
    """Whoever needs to point at a setting later finds its line, or that of what it belongs to."""
    path = tmp_path / "detente.yaml"
    path.write_text(GOOD, encoding="utf-8-sig")
    document = read(path)
    assert document.marks.line(("watch", "checks", "bank", "address")) == 6
    assert document.marks.line(("watch", "checks", "bank", "nowhere")) == 4
    assert document.marks.line(("nowhere",)) == 1
    assert load(path, Settings, environ={}).target == 0.995
    path.write_text("a: [")
    with pytest.raises(ConfigErrors, match="is still missing"):
        read(path)


def test_a_secret_file_is_found_beside_the_configuration(tmp_path: Path) -> None:
    """Paths of secrets start where the file stands that names them."""
    (tmp_path / "key").write_text("hunter2\n")
    (tmp_path / "detente.yaml").write_text("tokens: [{file: key}]")
    (token,) = load(tmp_path / "detente.yaml", Settings, environ={}).tokens
    assert token.reveal() == "hunter2"


def test_mistakes_between_settings_get_their_line_too() -> None:
    """What a caller finds between settings is placed at the nearest thing that was written."""

    def cross(here: Settings) -> Iterable[Mistake]:
        yield Mistake(("watch", "checks", "bank", "every"), "is too often for a bank")
        yield Mistake(("teams", 0), "no team is called dve")

    with pytest.raises(ConfigErrors) as caught:
        loads(GOOD + "teams: [dve]\n", Settings, cross=cross)
    places = [(each.line, each.column, each.says) for each in caught.value.mistakes]
    assert places == [(4, 5, "is too often for a bank"), (13, 9, "no team is called dve")]


def test_dates_and_a_struct_that_checks_itself() -> None:
    """Dates are explained by an example; what a struct refuses itself is told in its own words."""

    class Window(Plain):
        day: datetime.date
        hours: int = 1

        def __post_init__(self) -> None:
            if self.hours > 24:
                raise ValueError("a day has 24 hours")

    assert loads("day: 2026-05-31", Window).day == datetime.date(2026, 5, 31)
    with pytest.raises(ConfigErrors, match=r":1:6  day: expected a date such as 2026-05-31"):
        loads("day: tomorrow", Window)
    with pytest.raises(ConfigErrors, match="a day has 24 hours"):
        loads("{day: 2026-05-31, hours: 25}", Window)


def test_the_schema_is_one_that_editors_read() -> None:
    """The schema is valid 2020-12, forbids unknown keys, and carries docs and written defaults."""
    from jsonschema import Draft202012Validator

    made = schema(Settings)
    Draft202012Validator.check_schema(made)
    json.dumps(made)
    page = made["$defs"]["Page"]
    assert page["description"] == "A page that has to answer."
    assert page["properties"]["expect"]["description"] == "The status we want."
    assert page["properties"]["every"]["default"] == "30s"
    assert made["$defs"]["Settings"]["properties"]["cost"]["default"] == "1.00 EUR"
    assert all(each["additionalProperties"] is False for each in made["$defs"].values())


def test_what_we_accept_an_editor_accepts() -> None:
    """A file that loads has no mistake by the published schema, read by any validator."""
    import yaml
    from jsonschema import Draft202012Validator

    text = GOOD.replace("on: off, no: yes, opens: 21:00, ", "")
    assert not list(Draft202012Validator(schema(Settings)).iter_errors(yaml.safe_load(text)))


def test_a_good_file_does_not_wait_for_the_explanations() -> None:
    """Neither importing this module nor loading a good file imports the validator."""
    code = (
        "import sys, msgspec\n"
        "from detente.kernel.config import loads\n"
        "assert 'yaml' not in sys.modules\n"
        "S = msgspec.defstruct('S', [('a', int)])\n"
        "assert loads('a: 1', S).a == 1\n"
        "assert 'jsonschema' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


KEYS = [
    "watch",
    "checks",
    "kind",
    "http",
    "tcp",
    "every",
    "mail",
    "password",
    "host",
    "pair",
    "size",
]
KEYS += [
    "tokens",
    "labels",
    "share",
    "cost",
    "target",
    "env",
    "teams",
    "code",
    "10s",
    "5",
    "a b",
    "<<",
]
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8))
TREES = st.recursive(
    LEAVES | st.sampled_from(KEYS),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=15,
)


def answered(text: str) -> str:
    """What comes of a text: nothing, or all that is wrong with it."""
    try:
        loads(text, Settings)
    except ConfigErrors as wrong:
        assert wrong.mistakes
        return str(wrong)
    return ""


@settings(max_examples=200, deadline=2000)
@given(st.text())
def test_no_text_is_too_strange(text: str) -> None:
    """Any text is read or explained, and nothing else happens."""
    answered(text)


YAMLISH = st.lists(
    st.sampled_from(
        [*KEYS, ": ", "\n", "\n  ", "- ", "[", "]", "{", "}", ", ", '"', "'", "&a ", "*a"]
    )
    | st.sampled_from(
        ["!!str ", "|", ">", "#", "\t", "---\n", "...", "? ", "%", "\\", "\r", "\x85"]
    ),
    max_size=40,
).map("".join)


@settings(max_examples=300, deadline=2000)
@given(YAMLISH)
def test_no_broken_file_is_too_strange(text: str) -> None:
    """Anything that looks a little like a configuration is read or explained, too."""
    answered(text)


@settings(max_examples=200, deadline=2000)
@given(TREES)
def test_no_settings_are_too_strange(tree: object) -> None:
    """Any values at any place are accepted or explained in our own words."""
    told = answered(json.dumps(tree, allow_nan=True))
    assert "does not fit" not in told
    assert "Expected `" not in told


SECRETS = st.text("abcdefghijkmnopq0123456789-_:#'\"{}[]*&!|> ", min_size=1, max_size=8).map(
    lambda text: f"hun{text}ter"
)


@settings(max_examples=300, deadline=2000)
@given(
    SECRETS,
    st.sampled_from(
        ["password: S", "pasword: S", "host: 5 # S\n  password: S", "password: [S, {S: S}]"]
    ),
)
def test_no_secret_slips_through(secret: str, line: str) -> None:
    """However a secret is written into the file, no message repeats it."""
    text = f"tone: calmm\nmail:\n  {line.replace('S', secret)}\n  hos: 5\n"
    told = answered(text)
    assert "hun" not in told.replace("found keys with values", "")
    assert told

"""One value is another, and every other byte stays."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detente.work.engine.editing import CannotEdit, edited
from detente.work.engine.travel import Request

BODY = b'{ "amount":49.90, "token": "tok_old",\n "card": {"a/b": [1, {"x": null}], "on": true} }'


def edit(pointer: str, value: str, body: bytes = BODY) -> bytes:
    return edited(Request((), body), pointer, value).body


@pytest.mark.parametrize(
    ("pointer", "value", "before", "after"),
    [
        ("/token", "tok_new", b'"tok_old"', b'"tok_new"'),
        ("/token", 'say "é"', b'"tok_old"', b'"say \\"\\u00e9\\""'),
        ("/amount", "50.00", b"49.90", b"50.00"),
        ("/card/a~1b/0", "2", b"[1,", b"[2,"),
        ("/card/a~1b/1/x", "7", b"null", b"7"),
        ("/card/a~1b/1/x", "seven", b"null", b'"seven"'),
        ("/card/on", "false", b"true", b"false"),
        ("/card/a~1b", "[]", b'[1, {"x": null}]', b"[]"),
    ],
)
def test_only_that_value_changes(pointer: str, value: str, before: bytes, after: bytes) -> None:
    """The order of fields, the spaces and the spelling of other numbers are the caller's."""
    assert edit(pointer, value) == BODY.replace(before, after)


@pytest.mark.parametrize(
    ("pointer", "value", "says"),
    [
        ("/token", "•••1234", "write the whole value itself"),
        ("token", "x", "begin with a slash"),
        ("/tokn", "x", "nothing stands at /tokn; there is /amount, /token, /card"),
        ("/card/a~1b/2", "x", "there is /card/a/b/0"),
        ("/token/x", "x", "there is nothing"),
        ("/amount", "a lot", "a number stood there"),
        ("/amount", "NaN", "a number stood there"),
        ("/card/on", "yes", "true or false stood there"),
        ("/card", "x", "an object stood there"),
        ("/card/a~1b", "{}", "a list stood there"),
    ],
)
def test_what_cannot_be_changed_is_a_sentence(pointer: str, value: str, says: str) -> None:
    """A mask is not written back as if it were the value, and a kind of value stays that kind."""
    with pytest.raises(CannotEdit, match=says):
        edit(pointer, value)


@pytest.mark.parametrize("body", [b"", b"amount=1", b"\xff", b"[" * 100_000])
def test_only_json_can_be_pointed_into(body: bytes) -> None:
    """Anything else is refused whole."""
    with pytest.raises(CannotEdit, match="not JSON"):
        edit("/a", "x", body)


def test_headers_about_the_body_do_not_outlive_it() -> None:
    """A digest of the former body goes; a signature over it cannot be made again."""
    plain = (("Content-Type", "application/json"), ("X-Shop", "1"))
    request = Request((*plain, ("Content-MD5", "x"), ("Content-Digest", "sha-256=:x:")), BODY, "/p")
    changed = edited(request, "/token", "new")
    assert (changed.headers, changed.path) == (plain, "/p")
    for name, value in (("X-Hub-Signature-256", "x"), ("Authorization", "AWS4 Signature=x")):
        with pytest.raises(CannotEdit, match="signed the request"):
            edited(Request(((name, value),), BODY), "/token", "new")


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), _ANY, min_size=1, max_size=5), st.data())
def test_any_text_anywhere_is_found_and_changed(
    document: dict[str, object], data: st.DataObject
) -> None:
    """Read back, the document differs at that place and nowhere else."""
    name = data.draw(st.sampled_from(sorted(document)))
    document[name] = "old"
    pointer = "/" + name.replace("~", "~0").replace("/", "~1")
    body = json.dumps(document, indent=data.draw(st.sampled_from([None, 2]))).encode()
    assert json.loads(edit(pointer, "new", body)) == {**document, name: "new"}

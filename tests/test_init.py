"""`detente init`: what a folder tells, written down so that it is right and nothing secret is in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detente.app import Declared, declared_type, mistakes
from detente.init import AlreadyThere, compose, survey, write
from detente.init.found import Foreign, Found, Mail, Own, Place
from detente.kernel.config import loads

SHOP = {
    ".env": """
DATABASE_URL=postgres://shop:hunter2@db:5432/shop
REDIS_URL="redis://:s3cr3t/p@ss@cache.shop-internal.net"
STRIPE_SECRET_KEY=sk_live_abcdef0123456789
SENTRY_DSN=https://0123deadbeef@o123.ingest.sentry.io/456
SMTP_HOST=smtp.mailgun.org
SMTP_PORT=587
SMTP_USER=postmaster@shop.io
SMTP_PASSWORD=swordfish
ACME_URL=https://user:geheim@gate.acme-bank.co.uk/v2/pay?key=topsecret
""",
    "docker-compose.yml": """
services:
  db:
    image: postgres:16
    ports: ["127.0.0.1:${DB_PORT:-15432}:5432"]
  web:
    build: .
    ports: ["8080:80", {published: 8443, target: 443}]
    depends_on: [db]
  worker:
    build: .
""",
    "src/pay.py": """
# see https://docs.stripe.com/api and https://stripe.com/docs
API = "https://api.stripe.com/v1/charges"
PAYPAL = "https://api-m.paypal.com/v2"
PAYPAL_TEST = "https://api-m.sandbox.paypal.com/v2"
LICENSE = "https://www.apache.org/licenses/LICENSE-2.0"
link = "https://some-blog.net/why-we-sell-shoes"
mine = "https://shop.io/help"
""",
    "web/app.js": 'fetch("https://maps.googleapis.com/maps/api/geocode/json"); '
    'load("https://fonts.googleapis.com/css");\n',
    "node_modules/x/index.js": 'fetch("https://api.twilio.com/")\n',
    "web/lib.min.js": 'fetch("https://api.mollie.com/")\n',
    "tests/test_pay.py": 'URL = "https://api.adyen.com/"\n',
    "package-lock.json": '{"resolved": "https://api.plaid.com/x"}\n',
    ".git/config": '[remote "origin"]\n\turl = git@github.com:ada/shoe-shop.git\n',
    ".git/logs/HEAD": "0 1 Ada <ada@shop.io> 1700000000 +0000\tcommit: shoes\n",
}
SECRETS = ("hunter2", "s3cr3t", "p@ss", "sk_live", "deadbeef", "swordfish", "geheim", "topsecret")


def put(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def right(text: str) -> Declared:
    """The settings in that text; an error with every mistake if there is one."""
    return loads(text, declared_type(), cross=mistakes)


def uncommented(text: str) -> str:
    """The text with its examples put to use: comments that are settings, not sentences."""
    return re.sub(r"^# ((?:work|sla):|mail: .*|  .*)$", r"\1", text, flags=re.MULTILINE)


def test_a_typical_project_is_written_down_and_right(tmp_path: Path) -> None:
    """Vendors, databases, containers and mail are found, and the file passes every check."""
    found = survey(put(tmp_path, SHOP))
    assert found.project == "shoe-shop"
    assert {each.name for each in found.vendors} == {
        "stripe", "paypal", "google-maps", "sentry", "acme-bank",
    }  # fmt: skip
    text = compose(found)
    declared = right(text)
    assert len(text.splitlines()) <= 80
    assert declared.vendors["paypal"].environments["test"].twin_of == "production"
    assert set(declared.services["shoe-shop"].needs) == {
        *declared.vendors,
        "postgres",
        "redis",
        "web-8080",
        "web-8443",
    }
    checks = getattr(declared, "watch").checks  # noqa: B009 - made at run time
    assert checks["postgres"].tcp == "127.0.0.1:15432"
    assert checks["stripe"].http == "https://api.stripe.com/"
    assert checks["paypal-test"].environment == "test"
    assert 404 in checks["stripe"].expect.status
    assert checks["acme-bank"].expect == checks["stripe"].expect
    assert declared.teams["dev"].mail == ("ada@shop.io",)


def test_no_secret_is_ever_copied(tmp_path: Path) -> None:
    """Passwords, keys and paths stay where they are; the mail password is named by its variable."""
    text = compose(survey(put(tmp_path, SHOP)))
    for secret in SECRETS:
        assert secret not in text
    assert "password: {env: SMTP_PASSWORD}" in text


def test_what_is_only_read_or_built_with_is_no_vendor(tmp_path: Path) -> None:
    """Links to documents, licences, fonts, own pages, and what lies in other people's folders."""
    text = compose(survey(put(tmp_path, SHOP)))
    for host in ("docs.stripe", "apache.org", "fonts.", "some-blog", "shop.io/", "twilio", "mollie",
                 "adyen", "plaid"):  # fmt: skip
        assert host not in text


def test_an_empty_folder_gets_something_that_works(tmp_path: Path) -> None:
    """With nothing to go by, Détente watches itself and the rest stands there as an example."""
    found = write(tmp_path)
    assert (found.vendors, found.services, found.mail) == ((), (), None)
    text = (tmp_path / "detente.yaml").read_text(encoding="utf-8")
    assert "http://127.0.0.1:3383/" in text
    assert "# mail: {server:" in text
    right(text)


def test_the_examples_in_comments_are_right_too(tmp_path: Path) -> None:
    """Whoever takes the comment signs away has working settings."""
    text = compose(survey(put(tmp_path, SHOP)))
    opened = uncommented(text)
    assert opened != text
    declared = right(opened)
    assert list(getattr(declared, "work").routes) == ["paypal"]  # noqa: B009
    assert list(getattr(declared, "sla").promises) == ["paypal-uptime"]  # noqa: B009


def test_a_file_that_is_there_is_never_touched(tmp_path: Path) -> None:
    """A second `init` refuses with a sentence, whatever the first file says."""
    (tmp_path / "detente.yaml").write_text("name: mine\n", encoding="utf-8")
    with pytest.raises(AlreadyThere, match=r"nothing was changed"):
        write(tmp_path)
    assert (tmp_path / "detente.yaml").read_text(encoding="utf-8") == "name: mine\n"


def test_a_link_in_place_of_the_file_is_not_followed(tmp_path: Path) -> None:
    """A dangling link is somebody's plan; nothing is written through it."""
    (tmp_path / "detente.yaml").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AlreadyThere):
        write(tmp_path)
    assert not (tmp_path / "elsewhere").exists()


def test_only_a_sandbox_found_still_makes_a_right_file(tmp_path: Path) -> None:
    """A vendor whose test side alone is known has a production too, and the file says so."""
    text = compose(survey(put(tmp_path, {"app.rb": 'URL = "https://api.sandbox.paypal.com"\n'})))
    assert "add a check of production" in text
    right(text)


def test_broken_files_do_not_stop_the_survey(tmp_path: Path) -> None:
    """Half-written YAML, odd ports, bytes that are no text: what can be read is read."""
    put(tmp_path, {
        "compose.yaml": "services: [broken: {",
        "docker-compose.dev.yml": "services: {a: {ports: [x, '1-3:1-3', 53:53/udp, '99999:1', 7]}, b: 1}",
        "config.yml": "url: https://api.stripe.com:99999999/\n",
    })  # fmt: skip
    (tmp_path / "odd.py").write_bytes(b'\xff\xfe "https://api.mollie.com/v2"\n')
    (tmp_path / "loop").symlink_to(tmp_path)
    found = survey(tmp_path)
    assert found.services == ()
    assert "mollie" in {each.name for each in found.vendors}
    right(compose(found))


def test_a_container_for_mail_is_reached_by_its_published_port(tmp_path: Path) -> None:
    """`MAIL_HOST=mailhog` inside the containers is 127.0.0.1 here, and needs no encryption."""
    put(tmp_path, {
        ".env": "MAIL_HOST=mailhog\nMAIL_PORT=1025\n",
        "compose.yml": "services:\n  mailhog:\n    ports: ['2525:1025']\n",
    })  # fmt: skip
    declared = right(compose(survey(tmp_path)))
    mail = declared.mail
    assert mail is not None
    assert (mail.server, mail.tls) == ("127.0.0.1:2525", "none")


def test_placeholders_are_not_taken_for_the_real_thing(tmp_path: Path) -> None:
    """Addresses reserved for examples, local names and numbers are nobody's service."""
    put(tmp_path, {".env.example": "\n".join((
        "API_URL=https://api.example.com", "A_URL=https://your-domain.com", "B_URL=http://10.0.0.7/x",
        "C_URL=http://localhost:3000", "D_URL=https://api.shop.internal", "SMTP_HOST=smtp.example.com",
        "DATABASE_URL=postgres://u:p@db.example.com/x", "E_URL=https://${HOST}.acme.com",
    ))})  # fmt: skip
    found = survey(tmp_path)
    assert (found.vendors, found.services, found.mail) == ((), (), None)


HERE = Place("a", 1)
texts = st.text(max_size=12)
hosts = st.from_regex(r"\A[a-z][a-z0-9-]{0,8}[a-z0-9]\.(com|no|io)\Z")


@given(
    texts,
    texts,
    st.lists(st.builds(lambda host, kind, test: Foreign(
        name=host.partition(".")[0], title=host, kind=kind, url=f"https://{host}/", test=test, place=HERE
    ), hosts, st.sampled_from(("payments", "")), st.booleans()), max_size=14, unique_by=lambda each: (each.name, each.test)),
    st.lists(st.builds(lambda host, port: Own(
        name=host.partition(".")[0], title=host, address=f"{host}:{port}", place=HERE
    ), hosts, st.integers(1, 65_535)), max_size=14, unique_by=lambda each: each.address),
    st.none() | st.builds(lambda host: Mail(
        host=host, port=25, user=None, password_env=None, sender=None, place=HERE
    ), hosts),
)  # fmt: skip
def test_whatever_was_found_the_file_is_right(
    project: str, file: str, vendors: list[Foreign], services: list[Own], mail: Mail | None
) -> None:
    """Names like `no` or `null`, odd project names, too much of everything: it loads without mistake."""
    strange = Foreign(
        name="no", title="null", kind="", url="https://x.io/", test=False, place=Place(file, 1)
    )
    found = Found(
        project=project or "x", vendors=(strange, *vendors), services=tuple(services), mail=mail
    )  # fmt: skip
    right(compose(found))
    right(uncommented(compose(found)) if mail is None else compose(found))

"""How is what was found written down, so that a person would go on writing it?"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

import msgspec

from detente.init.found import Foreign, Found, Mail, Own, free, is_mail, printable, slug

_MOST = 10
"""Vendors, or services, that are written down: more than this nobody reads through."""


def compose(found: Found) -> str:
    """A commented `detente.yaml` for what was found, right as it stands."""
    vendors, services = _written(found)
    parts = [
        _opening(found),
        _teams(found),
        _vendors(vendors, len({each.name for each in found.vendors})),
        _services(found, vendors, services),
        _checks(vendors, services),
        _mail(found),
        _more(vendors),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _written(found: Found) -> tuple[dict[str, list[Foreign]], list[Own]]:
    """What goes into the file: not more than a person would read, no two things of one name."""
    vendors: dict[str, list[Foreign]] = {}
    for each in found.vendors:
        if each.name in vendors or len(vendors) < _MOST:
            vendors.setdefault(each.name, []).append(each)
    taken, services = set(vendors), []
    for own in found.services[:_MOST]:
        name = free(own.name, taken)
        taken.add(name)
        services.append(msgspec.structs.replace(own, name=name))
    return vendors, services


def _opening(found: Found) -> list[str]:
    read = "1 file" if found.files == 1 else f"{found.files} files"
    return [
        f"# What matters to {printable(found.project)}: for those who build and those who run it.",
        f"# Written by `detente init` from {read} in this folder; no network was asked.",
        "# Read it through, then: `detente config check`, and `detente up`.",
        f"name: {_quoted(found.project)}",
    ]


def _teams(found: Found) -> list[str]:
    lines = ["# Who is told when something fails. Both sides belong here.", "teams:"]
    sends = found.mail is not None
    mail = f", mail: [{_quoted(found.author)}]" if found.author and sends else ""
    hint = "" if mail else "  # add mail: [you@example.com] (and mail, below) or webhook: https://…"
    lines.append(f"  dev: {{title: Development{mail}}}{hint}")
    lines.append(
        "  ops: {title: Operations}"
        + ("  # add mail: [ops@…] or webhook: https://…" if mail else "")
    )
    return lines


def _vendors(vendors: Mapping[str, list[Foreign]], count: int) -> list[str]:
    if not vendors:
        return []
    lines = [
        "# Somebody else's, and you depend on it. Not yours to repair, yours to survive.",
        "vendors:",
    ]
    for name, hosts in vendors.items():
        first = hosts[0]
        why = f"{first.kind}; " if first.kind else ""
        lines.append(f"  {_key(name)}:  # {why}{first.place}")
        lines.append(f"    title: {_quoted(first.title)}")
        if any(each.test for each in hosts):
            only = all(each.test for each in hosts)
            hint = "  # only their test side was found: add a check of production" if only else ""
            lines.append("    environments: {production: {}, test: {twin_of: production}}" + hint)
    if count > len(vendors):
        lines.append(
            f"  # and {count - len(vendors)} more hosts were found that are not written here"
        )
    return lines


def _services(found: Found, vendors: Mapping[str, object], services: list[Own]) -> list[str]:
    here = free(slug(found.project), {*vendors, *(each.name for each in services)})
    needs = [*vendors, *(each.name for each in services)]
    lines = ["# Your own, and what each cannot work without.", "services:"]
    lines.append(f"  {_key(here)}:")
    lines.append(f"    title: {_quoted(found.project)}")
    if needs:
        lines.append(f"    needs: [{', '.join(_key(each) for each in needs)}]")
    lines += [
        f"  {_key(each.name)}: {{title: {_quoted(each.title)}}}  # {each.place}"
        for each in services
    ]
    if not needs:
        lines.append(
            "  detente: {title: Détente itself}  # so that there is something to see at once"
        )
    return lines


_ANSWERS = "{status: [200, 301, 302, 307, 308, 400, 401, 403, 404, 405]}"


def _checks(vendors: Mapping[str, list[Foreign]], services: list[Own]) -> list[str]:
    lines = ["# What is asked again and again; three failures in a row and it is down."]
    lines += ["watch:", "  checks:"]
    if vendors:
        lines.append(
            "    # Any answer but a server's error is good enough; better: their health page."
        )
    lines += _vendor_checks(vendors, {each.name for each in services})
    lines += [f"    {_key(each.name)}: {{tcp: {_quoted(each.address)}}}" for each in services]
    if not vendors and not services:
        lines.append('    detente: {http: "http://127.0.0.1:3383/"}')
    return lines


def _vendor_checks(vendors: Mapping[str, list[Foreign]], taken: set[str]) -> Iterator[str]:
    taken = taken | vendors.keys()
    expect = f"&answers {_ANSWERS}"
    for name, hosts in vendors.items():
        for each in hosts:
            check = _free_test_name(name, taken) if each.test else name
            test = f"of: {_key(name)}, environment: test, " if each.test else ""
            yield f"    {_key(check)}: {{{test}http: {_quoted(each.url)}, expect: {expect}}}"
            expect = "*answers"


def _free_test_name(name: str, taken: set[str]) -> str:
    found = free(f"{name}-test", taken)
    taken.add(found)
    return found


def _mail(found: Found) -> list[str]:
    mail = found.mail
    if mail is None:
        return [
            "# How teams are told by mail. Passwords never stand here, only where to find them.",
            "# mail: {server: smtp.example.com:587, from: Détente <detente@example.com>,",
            "#        user: detente@example.com, password: {env: SMTP_PASSWORD}}",
        ]
    sender = mail.sender or _own_address(mail) or found.author or "detente@example.com"
    local = mail.host.startswith("127.")
    tls = "none" if local else "implicit" if mail.port == 465 else "starttls"
    lines = [
        f"# How teams are told by mail; {mail.place}.",
        "mail:",
        f"  server: {_quoted(f'{mail.host}:{mail.port}')}",
        f"  from: {_quoted(f'Détente <{sender}>')}",
        f"  tls: {tls}",
    ]
    if mail.user and mail.password_env:
        lines.append(f"  user: {_quoted(mail.user)}")
        lines.append(f"  password: {{env: {mail.password_env}}}")
    elif not local:
        lines.append("  # user: …  # if the server wants you to sign in")
        lines.append("  # password: {env: SMTP_PASSWORD}  # where it is, never what it is")
    return lines


def _more(vendors: Mapping[str, list[Foreign]]) -> list[str]:
    """The next two steps, ready to be uncommented."""
    paid = [name for name, hosts in vendors.items() if hosts[0].kind == "payments"]
    name = next(iter([*paid, *vendors]), "cardpay")
    url = vendors[name][0].url.rstrip("/") if name in vendors else "https://api.cardpay.example"
    first = "" if vendors else " (declare it under vendors: first)"
    key = _key(name)
    return [
        f"# Keep working when {printable(name)} does not{first}: call",
        f"# http://127.0.0.1:3384/{printable(name)}/… instead of their address; what they cannot take is",
        "# kept and sent again when they are back.",
        "# work:",
        "#   routes:",
        f"#     {key}: {{vendor: {key}, to: {_quoted(url)}, timeout: 5s}}",
        "# What their contract promises, measured by your own checks.",
        "# sla:",
        "#   promises:",
        f"#     {_key(name + '-uptime')}: {{vendor: {key}, target: 99.9%, timezone: UTC}}",
    ]


_WORDS = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null"))


def _key(name: str) -> str:
    return name if re.fullmatch(r"[a-z][a-z0-9-]*", name) and name not in _WORDS else _quoted(name)


def _quoted(text: str) -> str:
    """As a YAML text, whatever is in it: JSON strings are YAML too."""
    if re.fullmatch(r"[A-Za-z][\w. -]*[A-Za-z]", text, re.ASCII) and text.lower() not in _WORDS:
        return text
    return json.dumps(printable(text), ensure_ascii=False)


def _own_address(mail: Mail) -> str | None:
    return mail.user if mail.user and is_mail(mail.user) else None

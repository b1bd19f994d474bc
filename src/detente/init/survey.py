"""What do the files of a project tell about what it depends on?

Of an address only scheme, host and port are kept: user names, passwords, paths and keys never leave
the line they stand in.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from detente.init.found import Foreign, Found, Mail, Own, Place, free, is_mail, slug
from detente.init.known import (
    DOORS,
    KINDS,
    NOT_VENDORS,
    READING,
    RESERVED,
    SECOND_LEVEL,
    SETTINGS,
    SKIPPED_FOLDERS,
    SUFFIXES,
    VENDORS,
)  # fmt: skip

_NOT_OURS = re.compile(
    r"\.min\.|\.bundle\.|\.lock$|-lock\.|^go\.sum$|^(composer|package)\.json$|^tsconfig|^detente\."
)
_MAX_FILES, _MAX_BYTES, _MAX_LINE = 4_000, 256_000, 1_000

_HOST = r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?"
_WEB = re.compile(
    rf"\b(https?)://(?:[^\s/@\"'`<>]*@)?({_HOST})(:\d{{1,5}}(?!\d))?(/[^\s\"'`<>)]*)?"
)
_DOOR = re.compile(
    rf"\b({'|'.join(DOORS)})(?:\+\w+)?://(?:[^\s\"'`<>]*@)?({_HOST})(?::(\d{{1,5}}))?"
)
_SMTP_URL = re.compile(rf"\b(smtps?)://(?:[^\s\"'`<>]*@)?({_HOST})(?::(\d{{1,5}}))?")
_SETTING = re.compile(
    r"^\s*(?:export\s+|-\s+)?[\"']?([A-Za-z_][\w.-]*)[\"']?\s*[:=]\s*[\"']?([^\"'#\s]*)"
)
_ASSIGNED = re.compile(
    r"(url|uri|host|endpoint|api|base|server|gateway|webhook|dsn|issuer)", re.IGNORECASE
)
_NOT_CALLED = re.compile(
    r"homepage|repository|license|\$schema|bugs|documentation|xmlns|see also", re.IGNORECASE
)
_COMMENT = ("#", "//", "/*", "*", "<!--", ";", "--", '"""')


class Line(msgspec.Struct, frozen=True):
    """One line of one file."""

    text: str
    place: Place
    settings: bool  # it stands in a settings file

    @property
    def is_comment(self) -> bool:
        return self.text.lstrip().startswith(_COMMENT)


def survey(folder: Path) -> Found:
    """What the files in that folder tell. Reads only; asks nobody."""
    project, author = _git(folder)
    project = project or folder.resolve().name
    files = list(_files(folder))
    containers = {
        name: own
        for path in files
        if _is_compose(path)
        for name, own in _compose_file(folder, path)
    }
    published = {
        (name, target): own for name, owns in containers.items() for target, own in owns.items()
    }
    lines = [line for path in files for line in _lines(folder, path)]
    services = _unlike(
        [*_doors(lines, published), *(own for owns in containers.values() for own in owns.values())]
    )
    domain = author.rpartition("@")[2].lower() if author else ""
    return Found(
        project=project,
        author=author,
        vendors=_foreign(lines, domain),
        services=services,
        mail=_mail(lines, published),
        files=len(files),
    )


def _files(folder: Path) -> Iterator[Path]:
    """The files worth reading, the nearest first, in a fixed order."""
    count = 0
    for here, folders, names in os.walk(folder):
        folders[:] = sorted(
            name for name in folders if name not in SKIPPED_FOLDERS and not name.startswith(".")
        )
        for name in sorted(names):
            path = Path(here, name)
            if count < _MAX_FILES and _worth_reading(path):
                count += 1
                yield path


def _worth_reading(path: Path) -> bool:
    wanted = path.suffix.lower() in SUFFIXES or path.name.startswith(".env")
    if not wanted or _NOT_OURS.search(path.name.lower()) or path.is_symlink():
        return False
    try:
        return path.is_file() and path.stat().st_size <= _MAX_BYTES
    except OSError:
        return False


def _lines(folder: Path, path: Path) -> Iterator[Line]:
    settings = path.suffix.lower() in SETTINGS or path.name.startswith(".env")
    name = path.relative_to(folder).as_posix()
    for number, text in enumerate(_text(path).splitlines(), start=1):
        if 5 < len(text) <= _MAX_LINE:
            yield Line(text, Place(name, number), settings)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return ""


def _git(folder: Path) -> tuple[str | None, str | None]:
    """The name of the project by its remote, and who committed last, from git's own files."""
    remote = re.search(
        r"^\s*url\s*=\s*\S*?([\w.-]+?)(?:\.git)?/?\s*$", _text(folder / ".git/config"), re.MULTILINE
    )
    last = re.findall(r"<([^<>\s]+@[^<>\s]+)>", _text(folder / ".git/logs/HEAD"))
    author = last[-1] if last else None
    if author and ("noreply" in author or not _is_public(author.rpartition("@")[2].lower())):
        author = None
    return remote[1] if remote else None, author


# -- vendors -----------------------------------------------------------------------------------


def _foreign(lines: Iterable[Line], domain: str) -> tuple[Foreign, ...]:
    """Each vendor once, and its sandbox once: known ones first, in the order of their kinds."""
    found: dict[tuple[str, bool], Foreign] = {}
    for line in lines:
        for match in _WEB.finditer(line.text):
            vendor = _vendor(line, match, domain)
            if vendor is not None and _better(vendor, found.get((vendor.name, vendor.test))):
                found[vendor.name, vendor.test] = vendor
    return tuple(
        sorted(found.values(), key=lambda each: (KINDS.index(each.kind), each.name, each.test))
    )


def _vendor(line: Line, match: re.Match[str], domain: str) -> Foreign | None:
    scheme, host, port, path = match[1].lower(), match[2].lower(), match[3] or "", match[4] or ""
    if port and not 0 < int(port[1:]) < 65_536:
        return None
    if not _is_public(host) or _ends(host, NOT_VENDORS) or host.split(".")[0] in READING:
        return None
    if domain and _ends(host, (domain,)):
        return None  # our own
    if _NOT_CALLED.search(line.text[: match.start()]):
        return None
    known = _known(host)
    if known is None and not _looks_called(line, match.start(), host, path):
        return None
    if known is not None and line.is_comment and not host.startswith("api"):
        return None
    name, title, kind = known or (*_unknown_name(host), "")
    url = f"{scheme}://{host}{port}/"
    return Foreign(
        name=name, title=title, kind=kind, url=url, test=_is_sandbox(host), place=line.place
    )


def _better(new: Foreign, old: Foreign | None) -> bool:
    """The first place wins, unless it was a side door and this is their API."""
    return old is None or ("//api" in new.url and "//api" not in old.url)


def _known(host: str) -> tuple[str, str, str] | None:
    suffixes = [suffix for suffix in VENDORS if _ends(host, (suffix,))]
    if not suffixes:
        return None
    title, kind = VENDORS[max(suffixes, key=len)]
    return slug(title), title, kind


def _looks_called(line: Line, start: int, host: str, path: str) -> bool:
    """Of hosts nobody knows, only what a program seems to call: settings and API addresses."""
    if line.is_comment:
        return False
    if _ASSIGNED.search(line.text[:start]) or line.settings:
        return True
    return (
        "api" in re.split(r"[.-]", host)
        or re.search(r"/(api|v\d+|graphql|rest)\b", path) is not None
    )


def _unknown_name(host: str) -> tuple[str, str]:
    """'api.acme-pay.co.uk' → 'acme-pay'."""
    labels = host.split(".")
    second_level = len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in SECOND_LEVEL
    title = labels[-3 if second_level else -2]
    return slug(title), title


def _is_sandbox(host: str) -> bool:
    return not {"sandbox", "test", "staging", "uat", "demo"}.isdisjoint(re.split(r"[.-]", host))


def _is_public(host: str) -> bool:
    """A name that others could resolve too: not an address, not reserved, not a placeholder."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        labels = host.split(".")
        real = all(re.fullmatch(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?", label) for label in labels)
        placeholder = any(label.startswith(("your", "my-", "xxx")) for label in labels)
        known_end = labels[-1].isalpha() and len(labels[-1]) > 1 and labels[-1] not in RESERVED
        return (
            len(labels) > 1
            and len(host) < 254
            and real
            and known_end
            and not placeholder
            and not _ends(host, ("example.com", "example.org", "example.net"))
        )
    return False


def _ends(host: str, suffixes: Iterable[str]) -> bool:
    return any(host == suffix or host.endswith(f".{suffix}") for suffix in suffixes)


# -- services of our own -----------------------------------------------------------------------


def _doors(lines: Iterable[Line], published: Mapping[tuple[str, int], Own]) -> Iterator[Own]:
    """Databases and queues named by an address. Containers are reached by their published port."""
    for line in lines:
        if line.is_comment:
            continue
        for match in _DOOR.finditer(line.text):
            name, title, usual = DOORS[match[1]]
            host, port = match[2].lower(), int(match[3] or usual)
            container = published.get((host, port))
            address = container.address if container else _reachable(host, port)
            if address is not None:
                yield Own(name=name, title=title, address=address, place=line.place)


def _reachable(host: str, port: int) -> str | None:
    """Where to knock; None for names that mean something only inside a container network."""
    if host == "localhost":
        host = "127.0.0.1"
    try:
        inside = ipaddress.ip_address(host).is_unspecified
    except ValueError:
        inside = "." not in host or _ends(
            host, ("example.com", "example.org", "example.net", "example")
        )
    return None if inside or not 0 < port < 65_536 else f"{host}:{port}"


def _is_compose(path: Path) -> bool:
    return re.fullmatch(r"(docker-)?compose[\w.-]*\.ya?ml", path.name.lower()) is not None


def _compose_file(folder: Path, path: Path) -> Iterator[tuple[str, dict[int, Own]]]:
    """The containers that publish ports on this machine, each by the ports inside."""
    import yaml

    text = _text(path)
    try:
        document: Any = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return
    services = document.get("services") if isinstance(document, dict) else None
    for name, service in services.items() if isinstance(services, dict) else ():
        ports = service.get("ports") if isinstance(service, dict) else None
        line = next(
            (n for n, each in enumerate(text.splitlines(), 1) if each.strip() == f"{name}:"), 1
        )
        place = Place(path.relative_to(folder).as_posix(), line)
        found = [
            each for port in (ports if isinstance(ports, list) else ()) if (each := _port(port))
        ]
        owns = {
            target: Own(
                name=slug(f"{name}-{outside}" if len(found) > 1 else str(name)),
                title=str(name),
                address=f"127.0.0.1:{outside}",
                place=place,
            )
            for outside, target in found
        }
        if owns:
            yield str(name), owns


def _port(written: Any) -> tuple[int, int] | None:
    """The published port and the port inside: `8080:80`, `127.0.0.1:${PORT:-5432}:5432/tcp`, …"""
    if isinstance(written, dict):
        protocol = written.get("protocol", "tcp")
        written = f"{written.get('published', '')}:{written.get('target', '')}/{protocol}"
    text = re.sub(r"\$\{\w+:?-(\d+)\}", r"\1", str(written))
    match = re.fullmatch(r"(?:[\d.]+:)?(\d{1,5}):(\d{1,5})(?:/tcp)?", text)
    if match is None or not 0 < int(match[1]) < 65_536:
        return None
    return int(match[1]), int(match[2])


def _unlike(services: Iterable[Own]) -> tuple[Own, ...]:
    """Each address once; a second database of the same kind gets a number."""
    kept: dict[str, Own] = {}
    names: set[str] = set()
    for each in services:
        if each.address in kept:
            continue
        name = free(each.name, names)
        names.add(name)
        kept[each.address] = msgspec.structs.replace(each, name=name)
    return tuple(kept.values())


# -- mail --------------------------------------------------------------------------------------

_MAIL_KEY = re.compile(
    r"(?:[\w.-]*[_.-])?(?:smtp|mail|email|mailer)[_.-]?(?:host[_.-])?"
    r"(host|server|port|user|username|password|pass|from|from_address)|(default_from_email)",
    re.IGNORECASE,
)


def _mail(lines: Iterable[Line], published: Mapping[tuple[str, int], Own]) -> Mail | None:
    """The mail server in settings such as SMTP_HOST and SMTP_PASSWORD, or in an smtp:// address."""
    said: dict[str, tuple[str, str, Place]] = {}  # what → value, key, place
    for line in lines:
        if line.is_comment or not line.settings:
            continue
        url = _SMTP_URL.search(line.text)
        setting = _SETTING.match(line.text)
        if url is not None:
            said.setdefault("host", (url[2].lower(), "SMTP_HOST", line.place))
            said.setdefault(
                "port", (url[3] or ("465" if url[1] == "smtps" else "587"), "", line.place)
            )
        elif setting is not None and (key := _MAIL_KEY.fullmatch(setting[1])):
            said.setdefault(
                _MEANS.get((key[1] or "from").lower(), ""), (setting[2], setting[1], line.place)
            )
    return _mail_of(said, published) if "host" in said else None


_MEANS = {
    "host": "host", "server": "host", "port": "port", "user": "user", "username": "user",
    "password": "password", "pass": "password", "from": "from", "from_address": "from",
}  # fmt: skip


def _mail_of(
    said: Mapping[str, tuple[str, str, Place]], published: Mapping[tuple[str, int], Own]
) -> Mail | None:
    host, port, place = (
        said["host"][0].lower(),
        _number(said.get("port", ("", "", None))[0]),
        said["host"][2],
    )
    container = published.get((host, port))
    address = container.address if container else _reachable(host, port)
    if address is None or not re.fullmatch(_HOST, host):
        return None
    user = said["user"][0] if "user" in said else ""
    sender = said["from"][0] if "from" in said else ""
    shown = user if "@" in user or user == "apikey" else None  # other names may be half a key pair
    return Mail(
        host=address.rpartition(":")[0],
        port=int(address.rpartition(":")[2]),
        user=shown,
        password_env=_variable(said["password"][1]) if shown and "password" in said else None,
        sender=sender if is_mail(sender) else None,
        place=place,
    )


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and 0 < int(text[:6]) < 65_536 else 587


def _variable(key: str) -> str:
    """The environment variable that holds it: the key itself, or what it would be called."""
    return re.sub(r"\W", "_", key).upper()

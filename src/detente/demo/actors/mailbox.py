"""Who gets the mail? Everybody's mail server and chat, in one small program.

SMTP                 takes every mail for anybody and keeps it in a maildir
GET  /mails          what has arrived, oldest first
POST /hook           takes what a chat would take; GET /hooks shows it
"""

from __future__ import annotations

import argparse
import asyncio
import os
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web
from aiosmtpd.smtp import SMTP, Envelope, Session

from detente.demo.actors import HOST, Book, Door, answer, until_told_to_stop


class Maildir:
    """A folder with one file a mail: written aside, synced, then moved to where readers look."""

    def __init__(self, folder: Path) -> None:
        self._aside, self._new = folder / "tmp", folder / "new"
        for each in (self._aside, self._new, folder / "cur"):
            each.mkdir(parents=True, exist_ok=True)
        self._kept = len(list(self._new.iterdir()))

    def keep(self, mail: bytes) -> None:
        self._kept += 1
        name = f"{self._kept:08}.{os.getpid()}.demo"
        with (self._aside / name).open("xb") as file:
            file.write(mail)
            file.flush()
            os.fsync(file.fileno())
        (self._aside / name).rename(self._new / name)

    def mails(self) -> list[bytes]:
        return [path.read_bytes() for path in sorted(self._new.iterdir())]


class Postman:
    """Puts what the SMTP server accepted into the maildir before saying so."""

    def __init__(self, maildir: Maildir) -> None:
        self._maildir = maildir

    # The name is the SMTP server's way of finding it.
    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.content
        self._maildir.keep(content if isinstance(content, bytes) else (content or "").encode())
        return "250 Kept"


def read(mail: bytes) -> dict[str, Any]:
    """A mail as JSON: the headers that make a thread, and its text."""
    message: EmailMessage = BytesParser(policy=policy.default).parsebytes(mail)
    headers = ("from", "to", "subject", "message-id", "in-reply-to", "references")
    body = message.get_body(("plain", "html"))
    return {
        **{name: str(message[name]) if message[name] else None for name in headers},
        "text": body.get_content().replace("\r\n", "\n") if body is not None else "",
    }


def desk(maildir: Maildir, hooks: Book) -> web.Application:
    """Where people look at what has arrived."""

    async def mails(request: web.Request) -> web.Response:
        return answer([read(mail) for mail in maildir.mails()])

    async def hook(request: web.Request) -> web.Response:
        try:
            hooks.write(msgspec.json.decode(await request.read()))
        except msgspec.DecodeError as mistake:
            return answer({"error": str(mistake)}, 400)
        return answer({"ok": True})

    async def shown(request: web.Request) -> web.Response:
        return answer(list(hooks.entries()))

    app = web.Application()
    app.add_routes([web.get("/mails", mails), web.post("/hook", hook), web.get("/hooks", shown)])
    return app


async def live(folder: Path, port: int, http_port: int) -> None:
    maildir = Maildir(folder)
    hooks = Book(folder / "hooks.jsonl")
    postman = Postman(maildir)
    smtp = await asyncio.get_running_loop().create_server(
        lambda: SMTP(postman, hostname="mailbox.example", enable_SMTPUTF8=True), HOST, port
    )
    door = Door(desk(maildir, hooks), http_port)
    await door.open()
    await until_told_to_stop(smtp.sockets[0].getsockname()[1], http=door.port)
    smtp.close()
    await door.close()
    hooks.close()


def main() -> None:
    """Run the mailbox until told to stop."""
    said = argparse.ArgumentParser(description=main.__doc__)
    said.add_argument("--folder", type=Path, required=True, help="where mails are kept")
    said.add_argument("--port", type=int, default=0, help="for SMTP")
    said.add_argument("--http-port", type=int, default=0, help="for reading, and for webhooks")
    args = said.parse_args()
    asyncio.run(live(args.folder, args.port, args.http_port))


if __name__ == "__main__":
    main()

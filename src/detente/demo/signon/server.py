"""Who are you? A real CAS server, for the story of the day when it did not come up.

Run by a Python of its own (see `detente.demo.signon`), which knows Django and not Détente:

    server.py set-up --database FILE --user NAME:PASSWORD --service REGEX
    server.py run --database FILE --port PORT
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import django
from django.conf import settings
from django.core.management import call_command
from django.http import HttpRequest, HttpResponse
from django.urls import include, path

HOST = "127.0.0.1"


def alive(_request: HttpRequest) -> HttpResponse:
    """For checks: the database answers too."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("select count(*) from cas_server_servicepattern")
        cursor.fetchone()
    return HttpResponse("sign-on is up", content_type="text/plain")


urlpatterns: list[Any] = [path("alive", alive)]


def configure(database: Path) -> None:
    """Django, as small as the CAS application lets it be."""
    settings.configure(
        SECRET_KEY="only ever on this machine, only ever for the demo",
        ALLOWED_HOSTS=[HOST],
        ROOT_URLCONF="__main__",
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(database)}},
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "django.contrib.messages",
            "django.contrib.staticfiles",
            "cas_server",
        ],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.locale.LocaleMiddleware",
            "django.middleware.common.CommonMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
        ],
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {
                    "context_processors": [
                        "django.template.context_processors.request",
                        "django.contrib.auth.context_processors.auth",
                        "django.contrib.messages.context_processors.messages",
                    ]
                },
            }
        ],
        STATIC_URL="/static/",
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        USE_TZ=True,
        CAS_AUTH_CLASS="cas_server.auth.DjangoAuthUser",
        CAS_NEW_VERSION_HTML_WARNING=False,
        CAS_NEW_VERSION_EMAIL_WARNING=False,
        CAS_LOGO_URL=None,
        CAS_FAVICON_URL=None,
        CAS_COMPONENT_URLS={},
    )
    django.setup()
    urlpatterns.append(path("cas/", include("cas_server.urls", namespace="cas_server")))


def set_up(database: Path, users: list[str], services: list[str]) -> None:
    """An empty database with these people, and services that may ask who somebody is."""
    configure(database)
    call_command("migrate", verbosity=0)
    from cas_server.models import ServicePattern
    from django.contrib.auth.models import User

    for each in users:
        name, _, password = each.partition(":")
        User.objects.create_user(name, password=password)
    for position, pattern in enumerate(services):
        ServicePattern.objects.create(pos=position, name=f"service {position}", pattern=pattern)


class Server(ThreadingMixIn, WSGIServer):
    """One thread for each who asks."""

    daemon_threads = True


class Quiet(WSGIRequestHandler):
    """Requests are not worth a line each."""

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing."""


def run(database: Path, port: int) -> None:
    """Serve until told to stop. Without its database it does not come up."""
    if not database.is_file():
        sys.exit(f"the database {database} is not there: the sign-on server does not start")
    configure(database)
    from django.core.wsgi import get_wsgi_application

    with make_server(HOST, port, get_wsgi_application(), Server, Quiet) as server:
        sys.stdout.write(f"listening on {HOST}:{server.server_port}\n")
        sys.stdout.flush()
        server.serve_forever()


def main() -> None:
    """What was asked for."""
    asking = argparse.ArgumentParser()
    asking.add_argument("what", choices=["set-up", "run"])
    asking.add_argument("--database", type=Path, required=True)
    asking.add_argument("--user", action="append", default=[])
    asking.add_argument("--service", action="append", default=[])
    asking.add_argument("--port", type=int, default=0)
    asked = asking.parse_args()
    if asked.what == "set-up":
        set_up(asked.database, asked.user, asked.service)
    else:
        run(asked.database, asked.port)


if __name__ == "__main__":
    main()

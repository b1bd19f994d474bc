"""Which hosts, schemes and folders do we know?"""

from __future__ import annotations


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# Host suffix=title, with _ for a space.
_BY_KIND = {
    "payments": """
      stripe.com=Stripe paypal.com=PayPal adyen.com=Adyen adyenpayments.com=Adyen
      braintreegateway.com=Braintree braintree-api.com=Braintree mollie.com=Mollie
      checkout.com=Checkout.com squareup.com=Square klarna.com=Klarna
      gocardless.com=GoCardless razorpay.com=Razorpay authorize.net=Authorize.Net
      worldpay.com=Worldpay sumup.com=SumUp paddle.com=Paddle wise.com=Wise plaid.com=Plaid
    """,
    "mail": """
      sendgrid.com=SendGrid mailgun.net=Mailgun mailgun.org=Mailgun postmarkapp.com=Postmark
      mandrillapp.com=Mandrill mailchimp.com=Mailchimp mailjet.com=Mailjet
      sparkpost.com=SparkPost brevo.com=Brevo resend.com=Resend
    """,
    "text messages and calls": """
      twilio.com=Twilio vonage.com=Vonage nexmo.com=Vonage messagebird.com=Bird
      sinch.com=Sinch plivo.com=Plivo
    """,
    "maps": """
      maps.googleapis.com=Google_Maps mapbox.com=Mapbox here.com=HERE hereapi.com=HERE
      opencagedata.com=OpenCage tomtom.com=TomTom
    """,
    "sign-on": """
      auth0.com=Auth0 okta.com=Okta login.microsoftonline.com=Microsoft_Entra
      accounts.google.com=Google_sign-on oauth2.googleapis.com=Google_sign-on
      clerk.com=Clerk onelogin.com=OneLogin
    """,
    "storage": """
      amazonaws.com=AWS storage.googleapis.com=Google_Cloud_Storage
      blob.core.windows.net=Azure_Storage digitaloceanspaces.com=DigitalOcean_Spaces
      backblazeb2.com=Backblaze dropboxapi.com=Dropbox cloudinary.com=Cloudinary
      r2.cloudflarestorage.com=Cloudflare_R2
    """,
    "monitoring": """
      sentry.io=Sentry datadoghq.com=Datadog datadoghq.eu=Datadog newrelic.com=New_Relic
      honeycomb.io=Honeycomb rollbar.com=Rollbar bugsnag.com=Bugsnag pagerduty.com=PagerDuty
      grafana.net=Grafana_Cloud
    """,
    "search": """
      algolia.net=Algolia algolianet.com=Algolia elastic-cloud.com=Elastic_Cloud
    """,
    "language models": """
      openai.com=OpenAI anthropic.com=Anthropic mistral.ai=Mistral cohere.ai=Cohere
      huggingface.co=Hugging_Face
    """,
    "customers": """
      salesforce.com=Salesforce hubapi.com=HubSpot zendesk.com=Zendesk intercom.io=Intercom
      freshdesk.com=Freshdesk
    """,
    "chat": """
      slack.com=Slack api.telegram.org=Telegram discord.com=Discord
    """,
    "shipping": """
      easypost.com=EasyPost goshippo.com=Shippo dhl.com=DHL ups.com=UPS fedex.com=FedEx
    """,
    "platform": """
      supabase.co=Supabase firebaseio.com=Firebase shopify.com=Shopify
      contentful.com=Contentful launchdarkly.com=LaunchDarkly
      graph.microsoft.com=Microsoft_Graph graph.facebook.com=Facebook
      exchangerate-api.com=ExchangeRate-API
    """,
}


def _by_suffix() -> dict[str, tuple[str, str]]:
    found = {}
    for kind, entries in _BY_KIND.items():
        for entry in _words(entries):
            suffix, _, title = entry.partition("=")
            found[suffix] = (title.replace("_", " "), kind)
    return found


VENDORS = _by_suffix()
"""Title and kind by host suffix; the longest suffix wins."""

KINDS = (*_BY_KIND, "")

# Links to read, to look at or to build with: nobody's customers wait for them.
NOT_VENDORS = _words("""
  github.com githubusercontent.com githubassets.com gitlab.com bitbucket.org nodejs.org python.org
  readthedocs.io readthedocs.org php.net ruby-lang.org docs.rs rust-lang.org golang.org go.dev
  apache.org gradle.org spring.io springframework.org oracle.com docker.com kubernetes.io helm.sh
  w3.org schema.org
  json-schema.org xmlsoap.org whatwg.org ietf.org rfc-editor.org iana.org ogp.me purl.org
  mozilla.org wikipedia.org stackoverflow.com stackexchange.com medium.com dev.to youtube.com
  youtu.be twitter.com x.com linkedin.com instagram.com facebook.com gnu.org opensource.org
  creativecommons.org spdx.org choosealicense.com shields.io badge.fury.io codecov.io
  coveralls.io travis-ci.org travis-ci.com circleci.com fonts.googleapis.com fonts.gstatic.com
  jsdelivr.net unpkg.com cdnjs.com cdnjs.cloudflare.com bootstrapcdn.com jquery.com
  getbootstrap.com gravatar.com googletagmanager.com google-analytics.com google.com
  microsoft.com apple.com debian.org ubuntu.com alpinelinux.org editorconfig.org pre-commit.com
  eslint.org prettier.io vuejs.org reactjs.org react.dev angular.io vitejs.dev vite.dev
  tailwindcss.com typescriptlang.org djangoproject.com palletsprojects.com laravel.com
  symfony.com rubyonrails.org example.com example.org example.net schemastore.org
  contributor-covenant.org
""")

RESERVED = _words("example test invalid localhost local internal lan svc home")
READING = _words("""
  docs doc developer developers www help support blog status cdn static assets img images
  dashboard learn fonts
""")
SECOND_LEVEL = _words("co com org net gov ac or ne")

# Scheme → name, title and usual port of what we run ourselves.
DOORS = {
    "postgres": ("postgres", "PostgreSQL", 5432),
    "postgresql": ("postgres", "PostgreSQL", 5432),
    "mysql": ("mysql", "MySQL", 3306),
    "mariadb": ("mariadb", "MariaDB", 3306),
    "sqlserver": ("sqlserver", "SQL Server", 1433),
    "redis": ("redis", "Redis", 6379),
    "rediss": ("redis", "Redis", 6379),
    "amqp": ("rabbitmq", "RabbitMQ", 5672),
    "amqps": ("rabbitmq", "RabbitMQ", 5671),
    "mongodb": ("mongodb", "MongoDB", 27017),
    "nats": ("nats", "NATS", 4222),
    "memcached": ("memcached", "Memcached", 11211),
    "clickhouse": ("clickhouse", "ClickHouse", 9000),
}

SKIPPED_FOLDERS = _words("""
  node_modules bower_components vendor third_party venv env site-packages dist build target out bin
  obj coverage __pycache__ test tests __tests__ spec specs fixtures docs doc examples
""")
SUFFIXES = _words("""
  .py .js .mjs .cjs .ts .tsx .jsx .vue .svelte .php .rb .java .kt .kts .scala .go .rs .cs .ex .exs
  .sh .yml .yaml .toml .json .ini .cfg .conf .properties .tf .env
""")
SETTINGS = _words(".yml .yaml .toml .ini .cfg .conf .properties .tf .env")

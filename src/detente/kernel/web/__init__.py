"""How do people, and their programs, see all this in a browser?

One answer, two faces: every `Page` is served as HTML and, with `.json` behind its path, to programs.
A slice writes a template in its own `templates/` folder and nothing else:

    {% extends "base.html" %}
    {% block main %}
      {% call kit.panel("Parked calls") %}
        {% if answer.calls %} … {% else %}
          {{ kit.empty("Nothing is parked", "Every call reached its vendor.") }}
        {% endif %}
      {% endcall %}
    {% endblock %}

`kit` is there in every template without importing it (`kit.html` lists its macros); `answer` is the
page's struct, `page` the page, `about` the subject a panel is shown about. The heading is the page's
title unless the template fills the block `heading`. Everything is escaped. A panel's template draws
only its inside; whoever shows the panel draws the frame.

A panel for the kind `node` stands on *Now*, and so does every sign: bad ones and warnings at the top,
good ones (`Sign(tone="good", about="vendor:cardpay", sentence="answers in 84 ms")`) as the green
light of what they are about. What has no sign and no trouble is shown as just that.
"""

"""What do people see, and do, in a terminal?

The same answers as in the browser, and the same levers. From a slice's card come its commands
(`commands`); they ask the node that runs (`calling`); any answer can be shown (`show`), and a slice that
wants to show one better says so in its `cli.py`:

    @shows(Queue)
    def queue(answer: Queue, see: Seeing) -> Iterator[RenderableType]: ...

With `--json` behind it, every command prints what the page's JSON twin holds.
"""

"""How do we ask thousands of places whether they answer, on time, and without fooling ourselves?

A prober is a process of its own: one loop on epoll, one small state machine a check, nothing else
in the way. `parent.ProberProcess` runs it; `once.probe_once` makes a single check in this process.
"""

"""What counts, for whom, and what should be done about it? Pure arithmetic over facts.

`money` says what was lost by which cause, `delivery` the five metrics, `fairness` where one side met its
target by making the other miss, `advice` what the facts call for.
"""

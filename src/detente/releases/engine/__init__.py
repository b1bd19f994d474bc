"""What is machinery in a release: processes, freezes, evidence, a calendar's feed, times as people write them."""

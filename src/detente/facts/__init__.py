"""The shared language: what can happen, in the past tense, one file a noun.

These names are the file format: what stands in a ledger is read by later versions, by other
programs and by the vendors who verify our evidence. Fields are only ever added, with defaults.
"""

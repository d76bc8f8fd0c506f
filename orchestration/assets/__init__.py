"""Assets and checks, one module a stretch of the way: records, marts, publication.

What belongs here: how the stations of `orchestration.steps` appear in Dagster: keys, descriptions, metadata, checks.
What does not: what a station does.
"""

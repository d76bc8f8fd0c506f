"""Orchestration: the Dagster definitions and the command line, thin fronts over the other rooms.

What belongs here: the order of the stations (`steps`), their Dagster assets and checks, running the job in process, the
command line. What does not: parsing, judging, publishing or any formula; those are called, never written here.
Importing this package is quick: Dagster, dbt and Great Expectations are loaded where they are used.
"""

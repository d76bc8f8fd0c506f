"""Telling people: what needs somebody, to whom it is told, and that it is told once.

What belongs here: conditions, ends (webhook, e-mail, file), their settings, and the round that brings them together
(`telling`). What does not: the state of alerts (`warehouse.alerts`), signs of life
(`orchestration.heartbeat`), Dagster.
"""

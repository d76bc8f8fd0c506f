"""Feeds: contracts, connectors that fetch bytes, parsers that turn bytes into records, intake, receipts, the sample city.

Nothing here judges a published number (`expectations`), builds a mart (`dbt_project`) or imports the orchestrator.
"""

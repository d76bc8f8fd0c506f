"""Feeds: contracts, connectors (fetch bytes), parsers (bytes to records), intake, receipts, the sample city.

Nothing here judges a published number (`expectations`), builds a mart (`dbt_project`) or imports the orchestrator.
"""

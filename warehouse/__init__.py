"""The ground floor: paths, ledger, DuckDB connections, fingerprints, verdicts, candidates, releases.

Nothing here knows a feed's layout, a rule's meaning or the orchestrator; every other room may stand on it.
"""

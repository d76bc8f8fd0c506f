"""The ground floor: paths, ledger, DuckDB connections, fingerprints, verdicts, candidates, releases.

Nothing here knows a feed's layout, a rule's meaning or the orchestrator; every other room may stand on it.
"""

import gc

# A run builds far more than it drops in circles. Python looks for such circles after every 700 new objects, which took
# a twentieth of the processor time of a whole run and found next to nothing. Every process of ours passes here first.
gc.set_threshold(50_000, 20, 20)

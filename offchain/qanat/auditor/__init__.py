"""Re-verification of everything that the network claims, from chain data and manifests alone.

::

    with Index(path, chain) as index:
        report = audit(chain, index)
    report.clean, report.certificates, report.responses, report.faults, report.findings

The auditor trusts the chain's blocks and nothing else: it takes events and transaction data, derives rosters' keys,
seeds, populations, draws and
fees anew, and compares. Manifests come from any node; their root is on chain.
"""

from __future__ import annotations

from qanat.auditor.audit import audit
from qanat.auditor.following import follow
from qanat.auditor.report import AuditReport, Finding

__all__ = ["AuditReport", "Finding", "audit", "follow"]

"""The way to the chain: connections, deployments, signers, transactions, typed views."""

"""The resident worker: JSON-RPC over stdin and stdout, one job at a time (docs/worker-protocol.md)."""

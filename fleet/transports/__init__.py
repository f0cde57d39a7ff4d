"""PLUG POINT: ways to reach a host. One file each, one line in `TRANSPORTS`, one parameter of the conformance suite."""

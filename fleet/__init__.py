"""The coordinator: plans a render, hands chunks to hosts, and makes one verified video."""

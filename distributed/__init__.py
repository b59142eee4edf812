"""The world: files, processes, clusters, checkpoints, reports."""

if __name__ != "epistax.distributed":
    raise ImportError(
        f"import epistax.distributed, not {__name__!r}: the checkout root is on sys.path"
    )

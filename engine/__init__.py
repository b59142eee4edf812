"""Mathematics: pure functions of arrays. Opens no file, reads no clock, prints nothing."""

if __name__ != "epistax.engine":
    raise ImportError(f"import epistax.engine, not {__name__!r}: the checkout root is on sys.path")

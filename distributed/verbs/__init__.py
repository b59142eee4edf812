"""One file a verb: run(options) -> Summary."""

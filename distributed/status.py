"""What became of a pair in a test: the words of the column `status`, and what they mean."""

TESTED = ("ok", "doubtful")  # pairs that have a figure
WORD = "<U9"  # as long as the longest
DOUBTFUL = "doubtful: the critic's diagnostics of a class are out of bounds (classes.parquet)"
UNTESTED = {
    "no_single": "without one of their singles",
    "few": "with fewer than 2 observations (knn: 7)",
    "too_few": "with a class of fewer than 10 observations, or wells than folds",
    "undefined": "without an effect",
    "failed": "failed",
}

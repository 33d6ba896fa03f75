"""What makes a corpus safe to train on: quality columns, exact duplicates, groups and splits. Pure functions."""

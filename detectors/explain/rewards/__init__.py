"""What a reply is rewarded for: `protocol` says what a reward is, `registry` which there are, `chosen` makes those that
options name. A new one is one file with a `REWARD` and one row; other packages bring theirs by entry point. No torch."""

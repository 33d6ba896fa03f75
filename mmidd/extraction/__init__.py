"""One medium to its samples: decode, find faces, cut. Knows no engine, no recipe and no label."""

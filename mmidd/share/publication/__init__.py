"""What a corpus is as others get it: labels of every row, pixels where licences allow, and what proves them made again."""

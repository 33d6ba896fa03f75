"""What score files come to: figures with intervals over groups, comparisons, and what leaks beside them. No torch."""

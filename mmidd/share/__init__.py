"""A finished corpus for others: in other layouts (`export`), and later published, described and made whole again."""

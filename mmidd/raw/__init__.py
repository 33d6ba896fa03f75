"""Where the bytes of raw data lie: folders, archives, object stores. Knows no manifest and no label."""

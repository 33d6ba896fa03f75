"""What a finished corpus gives away: audits that read it and change nothing. Findings end with exit code 4."""

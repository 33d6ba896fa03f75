"""What explaining models say of faces: read, checked, flagged. Text and boxes alone: no torch."""

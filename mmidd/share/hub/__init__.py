"""A publication in a dataset repository of the Hugging Face Hub: sent, checked as it is served, merged, tagged."""

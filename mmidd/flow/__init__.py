"""The order of the stages, walked by whoever asks: build, plan, status, failures, retry, gc."""

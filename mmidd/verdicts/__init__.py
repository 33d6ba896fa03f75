"""Any image or video and a trained detector in, verdicts out, by the very extraction that its corpus was built with."""

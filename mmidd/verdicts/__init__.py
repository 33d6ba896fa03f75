"""Any image or video and a trained detector in, verdicts out, by the extraction that the detector's corpus was built with."""

"""A detector's scores of a corpus: its run, an ONNX file or a function in, a score file out. Is given the detector."""

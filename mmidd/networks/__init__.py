"""Neural networks that are given as ONNX graphs, and who computes them: onnxruntime here, or a device process that several
workers share. Knows nothing of faces."""

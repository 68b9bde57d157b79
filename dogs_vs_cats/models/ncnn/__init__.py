"""Networks as ncnn runs them, faster than TensorFlow on a CPU."""

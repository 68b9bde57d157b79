"""Photos through a frozen backbone, by TensorFlow or by ncnn."""

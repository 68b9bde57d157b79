"""What a network sees in a photo: Grad-CAM, feature maps, kernels."""

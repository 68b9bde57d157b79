"""Networks, backbones and their weights, saved models, bottleneck features."""

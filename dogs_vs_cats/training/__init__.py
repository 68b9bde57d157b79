"""Training: batches, augmentation, losses, optimizers, stopping, resuming, and what it leaves."""

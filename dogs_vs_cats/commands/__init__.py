"""What people do with a trained model: one file a command of ``dogs-vs-cats``."""

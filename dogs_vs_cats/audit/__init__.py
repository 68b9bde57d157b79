"""Photos that a person should look at."""
